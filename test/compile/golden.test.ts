import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { compile, type CompileOptions } from '../../src/control/compile.ts';
import { readManifestsOnce } from '../../src/control/discovery.ts';
import { nodeOf, podOf, type NodeObject, type PodObject } from '../../src/control/discovery/objects.ts';
import { localize } from '../../src/control/localize.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import type { Resources } from '../../src/model/resource.ts';

// One case is `NAME.in.yaml` and what it compiles to, `NAME.out.json`; UPDATE_GOLDEN=1 writes the latter anew. A first line
// `# options: from=kubernetes externalName=allow nats=open node=n1 zone=a` says what differs from files discovery on a nameless node.
for (const file of globSync('*.in.yaml', { cwd: import.meta.dirname }).toSorted()) {
  test(`${basename(file, '.in.yaml')} compiles as its golden file says`, async () => {
    const manifests = readFileSync(join(import.meta.dirname, file), 'utf8');
    const { node: nodeName = '', zone = '', ...given } = readOptions(manifests);
    const options = {
      clusterDomain: 'cluster.local',
      from: 'files',
      externalName: 'refuse',
      nats: 'policies',
      ...given,
    } as CompileOptions;
    const read = await readManifestsOnce([{ type: 'text', name: file, text: manifests }]);
    const resources = options.from === 'kubernetes' ? { ...read.resources, ...readNode(manifests) } : read.resources;
    const compiled = compile(resources, undefined, options);
    const view = {
      nodeName,
      zone: zone || (resources.node?.zone ?? ''),
      addresses: new Set(resources.node?.addresses),
      ports: new Set([4140]),
    };
    const { configuration, problems, chosen } = localize(compiled, view, undefined);
    const { statuses } = compiled;
    const { routings, ...rest } = configuration;
    const backends = rest.backends.map(({ policy, ...backend }) =>
      policy === DEFAULT_BACKEND_POLICY ? backend : { ...backend, policy },
    );
    const unused = [...chosen].filter(([, one]) => one.unused.length > 0).map(([id, one]) => [id, one.unused] as const);
    const actual = {
      // Most cases have none of these, and no policy but the default.
      configuration: { ...rest, backends, ...(routings.length > 0 && { routings }) },
      ...(statuses.length > 0 && { statuses }),
      unused: Object.fromEntries(unused),
      problems: [...read.problems, ...compiled.problems, ...problems],
    };
    const golden = join(import.meta.dirname, file.replace('.in.yaml', '.out.json'));
    const text = `${JSON.stringify(actual, (_, value) => (value === Infinity ? 'infinite' : (value as unknown)), 2)}\n`;
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
    assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(golden, 'utf8')));
  });
}

function readOptions(text: string): Readonly<Record<string, string>> {
  const [, pairs = ''] = /^# options: (.+)\n/.exec(text) ?? [];
  return Object.fromEntries(
    pairs
      .split(' ')
      .filter(Boolean)
      .map((pair) => pair.split('=') as [string, string]),
  );
}

/** What only an API server tells: manifests of a user hold neither pods nor nodes. */
function readNode(text: string): Pick<Resources, 'pods' | 'node'> {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as { kind: string });
  const pods = objects.filter(({ kind }) => kind === 'Pod').map((pod) => podOf(pod as unknown as PodObject).resource!);
  const nodes = objects.filter(({ kind }) => kind === 'Node');
  return { pods, node: nodes.map((node) => nodeOf(node as unknown as NodeObject).resource!)[0] };
}
