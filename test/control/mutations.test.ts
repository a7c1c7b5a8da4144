import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, type Compilation } from '../../src/control/compile.ts';
import { FileStates } from '../../src/control/discovery/files/file-states.ts';
import { readManifests } from '../../src/control/discovery/manifest.ts';
import { localize, type Localization } from '../../src/control/localize.ts';
import type { Problem } from '../../src/model/problem.ts';
import { LiveRouting } from '../../src/proxy/route.ts';
import { Dice } from '../fuzz/dice.ts';
import { settingsOf } from '../harness/settings.ts';
import { mutated } from './mutations/manifest-mutation.ts';

// HEDDLE_MUTATIONS=10000 HEDDLE_SEED=7: more, and others.
const COUNT = Number(process.env['HEDDLE_MUTATIONS'] ?? 2000);
const SEED = Number(process.env['HEDDLE_SEED'] ?? 1);
/** What came out of what was there before is compared with what comes out of nothing. */
const ANEW_EVERY = 10;

const OPTIONS = { clusterDomain: 'cluster.local', from: 'files', externalName: 'refuse', nats: 'policies' } as const;
const SETTINGS = settingsOf();
const VIEW = { nodeName: 'n1', zone: 'a', addresses: new Set<string>(), ports: new Set([4140]) };

interface World {
  readonly compilation: Compilation;
  readonly localization: Localization;
  readonly problems: readonly Problem[];
}

function next(states: FileStates, before: World | undefined): World {
  const { resources, problems } = states.merge();
  const compilation = compile(resources, before?.compilation, OPTIONS);
  const localization = localize(compilation, VIEW, before?.localization);
  return { compilation, localization, problems: [...problems, ...compilation.problems, ...localization.problems] };
}

/** All that nobody changed. */
function bystanders({ compilation, localization }: World): readonly unknown[] {
  const { frontends, backends, routings } = localization.configuration;
  return [
    ...frontends.filter(({ name }) => name.startsWith('bystander')),
    ...backends.filter(({ name }) => name.startsWith('bystander')),
    ...routings.filter(({ id }) => id.startsWith('shop/bystander')),
    ...compilation.statuses.filter(({ object }) => object.includes('/bystander')),
    ...compilation.problems.filter(({ object }) => object.includes('/bystander')),
  ];
}

function documentsOf(file: string): readonly string[] {
  return readFileSync(join(import.meta.dirname, 'mutations', file), 'utf8').split(/^---$/m);
}

test(`${COUNT} manifests changed at random: nothing throws, what nobody changed stays the same object, all problems say where`, async () => {
  const victims = documentsOf('victims.yaml');
  const states = new FileStates([]);
  const take = (file: string, text: string) => states.take(file, readManifests({ file, text }));
  await take('bystanders.yaml', documentsOf('bystanders.yaml').join('---'));
  for (const [index, text] of victims.entries()) await take(`victim-${index}.yaml`, text);
  const first = next(states, undefined);
  assert.deepEqual(
    first.problems.filter(({ field }) => !field.endsWith('rules')).map(({ object, field }) => `${object} ${field}`),
    [
      'Service lab/orders metadata.annotations["heddle.dev/redirect"]',
      'HTTPRoute shop/bystander spec.rules[0].backendRefs[1]',
      'Service shop/bystander-routes metadata.annotations["heddle.dev/split"]',
    ],
  );
  const dice = new Dice(SEED);
  let before = first;
  for (let count = 0; count < COUNT; count++) {
    const index = dice.roll(victims.length);
    const text = mutated(victims[index]!, victims, dice);
    try {
      await take(`victim-${index}.yaml`, text);
      const now = next(states, before);
      judge(now, first);
      if (count % ANEW_EVERY === 0) sameAsAnew(now, next(states, undefined));
      before = now;
    } catch (error) {
      throw new Error(`Mutation ${count} of seed ${SEED} failed: ${text}`, { cause: error });
    }
    await take(`victim-${index}.yaml`, victims[index]!);
  }
});

function judge(now: World, first: World): void {
  const expected = bystanders(first);
  const actual = bystanders(now);
  assert.equal(actual.length, expected.length);
  for (const [index, one] of actual.entries()) assert.equal(one, expected[index]);
  const silent = now.problems.filter(
    ({ object, field, expected: wanted, got, origin }) =>
      object === '' || wanted === '' || got === '' || (field === '' && origin === undefined),
  );
  assert.deepEqual(silent, []);
  // What a worker makes of it.
  for (const routing of now.localization.configuration.routings) void new LiveRouting(routing, SETTINGS);
  const ids = new Set(now.localization.configuration.backends.map(({ id }) => id));
  const lost = now.localization.configuration.routings.flatMap(({ all, consumers }) =>
    [...(all === undefined ? [] : [all]), ...Object.values(consumers)].flatMap(({ rules }) =>
      rules.flatMap(({ targets, mirrors }) =>
        [...targets, ...mirrors].filter(({ backend, reason }) =>
          backend === undefined ? reason === '' : !ids.has(backend),
        ),
      ),
    ),
  );
  assert.deepEqual(lost, []);
}

function sameAsAnew(now: World, anew: World): void {
  assert.deepEqual(now.localization.configuration, anew.localization.configuration);
  assert.deepEqual(now.compilation.statuses, anew.compilation.statuses);
  assert.deepEqual(now.problems, anew.problems);
}
