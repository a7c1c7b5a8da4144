import { exposition } from '../harness/telemetry.ts';
import { exchange, sleep } from '../harness/client.ts';
import { echoed } from '../harness/routed-load.ts';
import { type Figure, milliseconds, type Verdict } from './figures.ts';
import { route, RulesScene, type Stall, to } from '../harness/rules-scene.ts';

/** Of a quiet machine; a busy one, or a slow one, needs longer. */
const STALL_MS_GOAL = 100;
const STALL_MS_MAX = 250;
const TOLD_MS_MAX = 20_000;
/** What comes of a push, such as the garbage of it, comes soon. */
const SETTLE_MS = 500;
const RULES = 10_000;
const RULES_OF_ROUTE = 16;
const CLIENTS = 8;
const EVERY_MS = 20;
const REGEXES = 8;

/** What a bad author writes. */
interface Push {
  readonly name: string;
  readonly file: 'route.yaml' | 'bad.yaml';
  readonly content: readonly object[] | string;
  /** Of a problem that must be told then; undefined: there is nothing to tell. */
  readonly problem: RegExp | undefined;
}

const path = (value: string, type = 'PathPrefix'): object => ({ path: { type, value } });
const GOOD = route('orders', [{ matches: [path('/')], backendRefs: [to('v2')] }]);

/** Bad configuration of one author is pushed under load (limits-and-faults, row 15). */
export async function rulesBad(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note = (what: string, measured: string, wanted: string, ok: Verdict): void => {
    figures.push({ scenario: 'rules-bad', what, measured, wanted, ok });
  };
  const scene = await RulesScene.start(2);
  const others = [scene.service('orders'), scene.service('other')];
  scene.manifests.put('good.yaml', others);
  scene.manifests.put('route.yaml', [GOOD]);
  await scene.until('the rule in force', TOLD_MS_MAX, async () => (await answererOf(scene, 'orders')) === 'v2');
  await scene.stalls();
  // Both kinds of Services that must not notice: one without rules, and one whose rule was good before it was bad.
  const load = scene.load({
    clients: CLIENTS,
    everyMs: EVERY_MS,
    request: (number) => `GET /${number} HTTP/1.1\r\nHost: ${number % 2 === 0 ? 'other' : 'orders'}.shop\r\n\r\n`,
    judge: ({ body }, number) => {
      const expected = `${number % 2 === 0 ? 'own' : 'v2'} ${echoed({ method: 'GET', url: `/${number}`, headers: {} }, '')}`;
      return body === expected ? '' : `Expected ${expected}, got ${body.slice(0, 80)}`;
    },
  });
  try {
    for (const push of pushes(scene)) await pushed(scene, push, note);
    await catastrophicRequests(scene, note);
  } finally {
    await load.stop();
    await scene.stop();
  }
  note(
    'failed requests of others, and of what was good before',
    `${load.failures.length} of ${load.requests} ${load.failures[0] ?? ''}`.trim(),
    '0',
    load.failures.length === 0 && load.requests > 500,
  );
  return figures;
}

type Note = (what: string, measured: string, wanted: string, ok: Verdict) => void;

async function pushed(scene: RulesScene, { name, file, content, problem }: Push, note: Note): Promise<void> {
  const generation = await scene.generation();
  scene.manifests.put(file, content);
  if (problem === undefined) await scene.later(generation, TOLD_MS_MAX);
  else {
    const find = async (): Promise<string | undefined> =>
      (await scene.problems()).find(({ text }) => problem.test(text))?.text;
    const isTold = await scene
      .until(`a problem like ${problem}`, TOLD_MS_MAX, async () => (await find()) !== undefined)
      .then(
        () => true,
        () => false,
      );
    const gauge = (await exposition(scene.mesh)).find((sample) => sample.name === 'heddle_problems')?.value ?? 0;
    note(
      `${name}: the problem that is told`,
      shortened((await find()) ?? 'none'),
      String(problem),
      isTold && gauge > 0,
    );
  }
  await sleep(SETTLE_MS);
  stallNotes(name, await scene.stalls(), note);
}

function stallNotes(name: string, stalls: readonly Stall[], note: Note): void {
  for (const { thread, ms, processorMs } of stalls) {
    const measured = `${milliseconds(Math.min(ms, processorMs))} (with other processes ${milliseconds(ms)})`;
    const wanted = `< ${STALL_MS_GOAL} ms, ${STALL_MS_MAX} ms at most`;
    note(`${name}: stall of the ${thread}`, measured, wanted, Math.min(ms, processorMs) < STALL_MS_MAX);
  }
}

function pushes(scene: RulesScene): readonly Push[] {
  const bad = (name: string, annotations: Record<string, string>): object => scene.service(name, 'own', annotations);
  const weight = route('orders', [{ backendRefs: [{ name: 'v1', port: 80, weight: 'many' }] }]);
  return [
    {
      name: 'a weight that is a word',
      file: 'route.yaml',
      content: [weight],
      problem: /HTTPRoute shop\/orders.*weight/,
    },
    { name: 'half a file', file: 'route.yaml', content: 'apiVersion: v1\nkind: {', problem: /route\.yaml/ },
    { name: 'what it was', file: 'route.yaml', content: [GOOD, scene.service('harmless')], problem: undefined },
    { name: 'aliases of aliases', file: 'bad.yaml', content: laughs(), problem: /bad\.yaml/ },
    { name: 'a file of 9 MiB', file: 'bad.yaml', content: '#'.repeat(9 * 2 ** 20), problem: /bad\.yaml.*8388608/ },
    {
      name: 'a weight below 0',
      file: 'bad.yaml',
      content: [bad('bad', { 'heddle.dev/split': 'v1=-1' })],
      problem: /Service shop\/bad.*split/,
    },
    {
      name: 'an annotation of 20,000 backends',
      file: 'bad.yaml',
      content: [bad('bad', { 'heddle.dev/split': Array.from({ length: 20_000 }, (_, index) => `v${index}=1`).join() })],
      problem: /Service shop\/bad.*split/,
    },
    {
      name: 'a TrafficSplit to what splits to it',
      file: 'bad.yaml',
      content: [bad('bad', { 'heddle.dev/split': 'worse=1' }), bad('worse', { 'heddle.dev/split': 'bad=1' })],
      problem: undefined,
    },
    {
      name: 'a back-reference, a look-ahead, a large count',
      file: 'bad.yaml',
      content: [
        bad('bad', {}),
        route('bad', [
          { matches: ['(a+)\\1', '(?=a)', 'a{1,5000}'].map((text) => path(`/${text}`, 'RegularExpression')) },
        ]),
      ],
      problem: /HTTPRoute shop\/bad.*spec\.rules\[0\]\.matches\[0\]\.path/,
    },
    { name: `${RULES} rules`, file: 'bad.yaml', content: manyRules(scene, 1), problem: undefined },
    { name: `a weight changed in ${RULES} rules`, file: 'bad.yaml', content: manyRules(scene, 2), problem: undefined },
    {
      name: `${2 * RULES} rules`,
      file: 'bad.yaml',
      content: manyRules(scene, 2, 2 * RULES),
      problem: /HTTPRoute shop\/.*at most 10,?000/,
    },
    { name: 'regular expressions that backtrack', file: 'bad.yaml', content: catastrophic(scene), problem: undefined },
  ];
}

/** Nine times nine lines of it would be 3 GB. */
function laughs(): string {
  const lines = ['a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]'];
  for (let depth = 1; depth < 10; depth++)
    lines.push(`a${depth}: &a${depth} [${Array.from({ length: 9 }, () => `*a${depth - 1}`).join(', ')}]`);
  return lines.join('\n');
}

function manyRules(scene: RulesScene, weight: number, count = RULES): readonly object[] {
  const routes = Array.from({ length: count / RULES_OF_ROUTE }, (_, index) => {
    const rules = Array.from({ length: RULES_OF_ROUTE }, (_unused, rule) => ({
      matches: [{ ...path(`/area-${index}/part-${rule}`), headers: [{ name: 'x-user', value: `user-${rule}` }] }],
      filters: [
        {
          type: 'RequestHeaderModifier',
          requestHeaderModifier: { set: [{ name: 'x-rule', value: `${index}-${rule}` }] },
        },
      ],
      backendRefs: [to('v1', index === 7 ? weight : 1), to('v2')],
    }));
    return route('many', rules, `many-${index}`);
  });
  return [scene.service('many'), ...routes];
}

/** All of these take for ever where an engine tries one way after the other. */
function catastrophic(scene: RulesScene): readonly object[] {
  const texts = ['(a+)+', '(a|a)*', '(a|aa)+', '(.*a){10}', '([a-z]+)*', '(a*)*', '(.*)*b', '(a?){16}a{16}'];
  const rules = texts.slice(0, REGEXES).map((value) => ({
    matches: [{ headers: [{ name: 'x-text', type: 'RegularExpression', value }] }],
    backendRefs: [to('v1')],
  }));
  return [scene.service('slow'), route('slow', rules)];
}

/** The requests that such expressions are afraid of. */
async function catastrophicRequests(scene: RulesScene, note: Note): Promise<void> {
  await scene.stalls();
  const text = `${'a'.repeat(30_000)}!`;
  const startMs = performance.now();
  for (let count = 0; count < 20; count++)
    await exchange(scene.mesh.port, `GET / HTTP/1.1\r\nHost: slow.shop\r\nx-text: ${text.slice(count)}\r\n\r\n`);
  note('such a request, mean', milliseconds((performance.now() - startMs) / 20), '', true);
  stallNotes('such a request', await scene.stalls(), note);
}

async function answererOf(scene: RulesScene, service: string): Promise<string> {
  const { body } = await exchange(scene.mesh.port, `GET / HTTP/1.1\r\nHost: ${service}.shop\r\n\r\n`);
  return body.split(' ')[0]!;
}

function shortened(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`;
}
