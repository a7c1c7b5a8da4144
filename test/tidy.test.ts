/** The rules about the code itself. Each test names one; src/ARCHITECTURE.md says why they are there. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

/** Layer, and what it may import: a layer, or one part of a layer. A change of this table is a change of its own. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  model: ['lib'],
  telemetry: ['model', 'lib'],
  shared: ['model', 'lib'],
  control: ['shared', 'telemetry', 'model', 'lib'],
  proxy: ['shared', 'telemetry', 'model', 'lib'],
  bridge: ['proxy/serve', 'proxy/http', 'proxy/reply', 'telemetry', 'model', 'lib'],
  main: ['control', 'shared', 'telemetry', 'model', 'lib'],
  controller: ['control', 'telemetry', 'model', 'lib'],
  worker: ['proxy', 'bridge', 'shared', 'telemetry', 'model', 'lib'],
  cli: [
    'main',
    'controller',
    'control/discovery',
    'control/compile',
    'control/localize',
    'proxy/decide',
    'proxy/explain',
    'proxy/route',
    'proxy/http',
    'model',
    'lib',
  ],
};
/** The roots that a command starts, so that `heddle --help` loads nothing of them. */
const LAZY = new Set(['main', 'controller']);

/** Inside `proxy`: the order of a request. A step imports only later steps. */
const STEPS = [
  'listener',
  'serve',
  'tcp',
  'explain',
  'decide',
  'attempt',
  'balance',
  'health',
  'upstream',
  'filter',
  'route',
  'reply',
  'http',
];

/** npm package, and the only places that may import it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'commander': ['cli'],
  'yaml': ['control', 'cli'],
  'ajv': ['control/discovery'],
  'typebox': ['control/discovery'],
  'pino': ['telemetry'],
  'fastify': ['control/admin'],
  'prom-client': ['control/admin'],
  '@kubernetes/client-node': ['control/discovery/kubernetes'],
  '@nats-io/transport-node': ['bridge'],
  '@peculiar/x509': ['control/identity'],
};

const LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;
/** `file: first line of the function` of those that may be longer, with the reason. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {
  'src/proxy/http/parse.ts: function parseHead(head: Head, bytes: Buffer, base: number, end: number, limits: HeadLimits): number {':
    'a state machine over single octets: its states are read together, and a call for each would cost at every field',
  'src/proxy/http/parse.ts: function firstLine(head: Head, bytes: Buffer, base: number, from: number, stop: number, limits: HeadLimits): number {':
    'the same for request and status line',
};

const TOP_LEVEL = [
  'LICENSE',
  'README.md',
  'bench',
  'bin',
  'deploy',
  'package-lock.json',
  'package.json',
  'src',
  'test',
  'tsconfig.build.json',
  'tsconfig.json',
];
/** Made by npm and tsc, and ignored by git. */
const MADE = ['node_modules', 'dist'];

interface Import {
  readonly from: string;
  /** Path of a file below src, or the name of a package. */
  readonly to: string;
  readonly kind: 'value' | 'type' | 'lazy';
}

const STATIC_IMPORT = /(?:^|; *)(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const LAZY_IMPORT = /\bimport\('([^']+)'\)/g;

const sources = globSync('src/**/*.ts')
  .map((file) => file.split(path.sep).join('/'))
  .toSorted();
const imports: readonly Import[] = sources.flatMap((from) => {
  const text = readFileSync(from, 'utf8');
  const resolve = (to: string): string =>
    to.startsWith('.') ? path.posix.join(path.posix.dirname(from), to) : packageName(to);
  return [
    ...[...text.matchAll(STATIC_IMPORT)].map(([, type, to]): Import => ({
      from,
      to: resolve(to!),
      kind: type === undefined ? 'value' : 'type',
    })),
    ...[...text.matchAll(LAZY_IMPORT)].map(([, to]): Import => ({ from, to: resolve(to!), kind: 'lazy' })),
  ];
});
const ours = imports.filter(({ to }) => to.startsWith('src/'));
const foreign = imports.filter(({ to }) => !to.startsWith('src/'));

function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** `src/proxy/http/parse.ts` is `proxy/http/parse`. */
function place(file: string): string {
  return file.replace(/^src\//, '').replace(/\.ts$/, '');
}

function part(file: string, depth: number): string {
  return place(file).split('/')[depth] ?? '';
}

function isBelow(file: string, places: readonly string[]): boolean {
  return places.some((allowed) => place(file) === allowed || place(file).startsWith(`${allowed}/`));
}

/** Breaches as lines; the assertion shows them all. */
function none(found: readonly (Import | string)[]): void {
  assert.deepEqual(
    found.map((breach) => (typeof breach === 'string' ? breach : `${breach.from} imports ${breach.to}`)),
    [],
  );
}

describe('imports', () => {
  test('a layer imports only what its row of the table allows', () => {
    none(ours.filter(({ from, to }) => part(from, 0) !== part(to, 0) && !isBelow(to, LAYERS[part(from, 0)] ?? [])));
  });

  test('the command line loads the roots only when it starts them', () => {
    none(ours.filter(({ from, to, kind }) => part(from, 0) === 'cli' && LAZY.has(place(to)) && kind === 'value'));
  });

  test('a step of the proxy imports only later steps', () => {
    const inProxy = ours.filter(({ from, to }) => part(from, 0) === 'proxy' && part(to, 0) === 'proxy');
    const order = (file: string): number => STEPS.indexOf(part(file, 1));
    none(inProxy.filter(({ from, to }) => part(from, 1) !== part(to, 1) && order(from) >= order(to)));
  });

  test('every file of the proxy belongs to a step', () => {
    none(sources.filter((file) => part(file, 0) === 'proxy' && !STEPS.includes(part(file, 1))));
  });

  test('a folder is entered only through the file beside it that has its name', () => {
    const open = new Set(['src', 'src/lib', 'src/model', 'src/control', 'src/proxy']);
    none(
      ours.filter(({ from, to }) => {
        const folder = path.posix.dirname(to);
        if (open.has(folder)) return false;
        return from !== `${folder}.ts` && !from.startsWith(`${folder}/`);
      }),
    );
  });

  test('value imports have no cycle', () => {
    const graph = Map.groupBy(
      ours.filter(({ kind }) => kind === 'value'),
      ({ from }) => from,
    );
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
      if (done.has(file) || trail.includes(file)) return;
      for (const { to } of graph.get(file) ?? []) visit(to, [...trail, file]);
      done.add(file);
    };
    for (const file of sources) visit(file, []);
    none(cycles);
  });

  test('an npm package is imported only in its own place', () => {
    none(foreign.filter(({ from, to }) => !to.startsWith('node:') && !isBelow(from, PACKAGES[to] ?? [])));
  });

  test('the model does no I/O: it takes types from Node, never values', () => {
    none(foreign.filter(({ from, kind }) => part(from, 0) === 'model' && kind !== 'type'));
  });

  test('every dependency is imported by something', () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
    none(Object.keys(dependencies).filter((name) => foreign.every(({ to }) => to !== name)));
  });
});

describe('text', () => {
  const code = [...globSync('{src,test,bench,bin}/**/*.{ts,js,mjs}')].filter((file) => !file.includes('node_modules'));
  const all = [
    ...readdirSync('.', { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.tgz'))
      .map(({ name }) => name),
    ...globSync('{src,test,bench,bin,deploy,.ci}/**/*', { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
      .map(({ parentPath, name }) => path.relative('.', path.join(parentPath, name))),
  ];
  const containing = (files: readonly string[], pattern: RegExp): string[] =>
    files.filter((file) => pattern.test(readFileSync(file, 'utf8')));

  test('no file is longer than one sitting', () => {
    none(code.filter((file) => readFileSync(file, 'utf8').trimEnd().split('\n').length > LINES_MAX));
  });

  test('no function is longer than a screen, but for those with a reason', () => {
    const long = sources.flatMap((file) => longFunctions(file));
    assert.deepEqual(
      long.map(({ name }) => name).filter((name) => !(name in LONG_FUNCTIONS)),
      [],
    );
    assert.deepEqual(
      Object.keys(LONG_FUNCTIONS).filter((name) => long.every((one) => one.name !== name)),
      [],
      'An exception that nothing needs any more',
    );
  });

  test('what is left to do stands in an issue, not in the code', () => {
    none(containing(code, /\b(TO[D]O|FIX[M]E|X[X]X)\b/)); // in brackets, so that this line does not find itself
  });

  test("no path of somebody's machine is in the tree", () => {
    none(containing(all, /\/(home|Users|root)\/[a-z]/));
  });

  test('the lock file names no registry', () => {
    none(containing(['package-lock.json'], /"resolved": "http/));
  });

  test('nothing stands at the top level beside what is fixed', () => {
    none(readdirSync('.').filter((name) => !name.startsWith('.') && ![...TOP_LEVEL, ...MADE].includes(name)));
  });

  test('no module is a drawer: a file has the name of what it holds', () => {
    none(sources.filter((file) => /\/(index|utils?|helpers?|common|misc)\.ts$/.test(file)));
  });
});

describe('src/ARCHITECTURE.md', () => {
  const page = existsSync('src/ARCHITECTURE.md') ? readFileSync('src/ARCHITECTURE.md', 'utf8') : '';

  test('has the same table of layers', () => {
    const rows = Object.entries(LAYERS).map(([layer, allowed]) => {
      const names = allowed.map((name) => (layer === 'cli' && LAZY.has(name) ? `${name} (lazily)` : name));
      return `| ${layer} | ${names.length === 0 ? 'node: only' : names.join(', ')} |`;
    });
    const shown = page
      .split('\n')
      .filter((line) => Object.keys(LAYERS).some((layer) => line.startsWith(`| ${layer} |`)));
    assert.deepEqual(shown, rows);
  });

  test('has the same order of steps', () => {
    assert.ok(page.includes(STEPS.join(', ')), `Expected the line "${STEPS.join(', ')}"`);
  });
});

interface LongFunction {
  readonly name: string;
  readonly lines: number;
}

const FUNCTION_START =
  /(?:\bfunction\b.*|=>|^ *(?!if\b|for\b|while\b|switch\b|catch\b|else\b|do\b|return\b)(?:[a-z]+ )*[*#\w]+(?:<.*>)?\(.*\).*|^ *\).*) \{$/;

/** Counts from the first line to the one that closes it; the formatter gives both the same indent. */
function longFunctions(file: string): readonly LongFunction[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line, brace) => {
    if (!FUNCTION_START.test(line)) return [];
    const indent = /^ */.exec(line)![0];
    // Long parameter lists end in a line of their own.
    const opens = (text: string): boolean => text.startsWith(indent) && /^[^ )]/.test(text.slice(indent.length));
    const start = lines.findLastIndex((earlier, index) => index <= brace && opens(earlier));
    const end = lines.findIndex((later, index) => index > brace && later.startsWith(`${indent}}`));
    const length = end - start + 1;
    return length > FUNCTION_LINES_MAX ? [{ name: `${file}: ${lines[start]!.trim()}`, lines: length }] : [];
  });
}
