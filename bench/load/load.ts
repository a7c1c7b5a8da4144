import { mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { choose } from './choice.ts';
import { fetchChecked } from './fetch.ts';
import { choosePinning, describeMachine, freePort, loadAverage, onPath, pinSelf, versionOf } from './machine.ts';
import { measureRound, type Round, type Target } from './measure.ts';
import { type Peer, PEERS, type PeerStart, startPeer } from './peers.ts';
import { goalReport, resultFile, shapeReport, summary } from './report.ts';
import type { ShapeResult } from './results.ts';
import { CONTENTS, DEFAULT_SHAPES, parseShapes, type Shape } from './shapes.ts';
import { Stage } from './stage.ts';
import { startUpstreams } from './upstreams.ts';

const DEFAULT_PEERS = 'nginx,haproxy,envoy,traefik,http-proxy,heddle,heddle-reuseport,heddle-1worker';

const HELP = `Measures what a request costs in Heddle and in other proxies, side by side.

  npm run bench -- [options]

  --peers LIST     default ${DEFAULT_PEERS}
  --shapes LIST    KIND@CONNECTIONS, KIND one of ${Object.keys(CONTENTS).join(', ')}, close
                   default ${DEFAULT_SHAPES}
  --rounds N       rounds of each shape, every peer once in each (5)
  --seconds S      length of one measurement (2)
  --warmup S       load on every peer before the rounds of a shape (2)
  --json FILE      keeps the result; for the repository: bench/results/DATE-MACHINE.json

What telemetry costs: npm run bench:telemetry
How to read the figures: bench/README.md
`;

interface Options {
  readonly peers: readonly Peer[];
  readonly shapes: readonly Shape[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly json: string | undefined;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    say(HELP);
    return;
  }
  if (options.json !== undefined) mkdirSync(dirname(options.json), { recursive: true });
  const stage = new Stage();
  try {
    await run(stage, options);
  } finally {
    await stage.close();
  }
}

async function run(stage: Stage, options: Options): Promise<void> {
  const tools = findTools();
  const machine = describeMachine();
  const pinning = choosePinning();
  pinSelf(pinning);
  say(`${machine}; ${pinning.says}; load average ${loadAverage()}`);
  say(
    Object.entries(tools)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  );

  const upstreams = await startUpstreams(stage);
  const collectorPort = await freePort();
  const collector = {
    program: process.execPath,
    args: [join(import.meta.dirname, 'collector.js'), String(collectorPort)],
  };
  stage.start('collector', collector, pinning.loadCore);
  const { targets, versions } = await startPeers(stage, options.peers, {
    upstreams,
    collectorPort,
    core: pinning.proxyCore,
    ask: (port) => fetchChecked(port, CONTENTS['1k']),
  });
  const all: Target[] = [{ name: 'direct', port: upstreams[0] ?? 0, pid: undefined }, ...targets];
  const minutes =
    (options.shapes.length * all.length * (options.warmup + options.rounds * (options.seconds + 0.1))) / 60;
  say(
    `${options.shapes.length} shapes, ${options.rounds} rounds of ${options.seconds} s for each of ${all.length} targets: about ${Math.ceil(minutes)} min\n`,
  );

  const results: ShapeResult[] = [];
  for (const shape of options.shapes) {
    const result = await measureShape(all, shape, { ...options, upstreams });
    results.push(result);
    say(shapeReport(result));
  }
  say(summary(results));
  say(goalReport(results));
  if (options.json === undefined) return;
  const { rounds, seconds, warmup } = options;
  const head = {
    date: new Date().toISOString(),
    machine,
    pinning: pinning.says,
    tools,
    versions,
    rounds,
    seconds,
    warmup,
  };
  writeFileSync(options.json, resultFile(head, results));
  say(`Kept in ${options.json}`);
}

/** All peers are up at the same time and idle but for the one under load, so that each is measured in the same minute. */
async function startPeers(
  stage: Stage,
  peers: readonly Peer[],
  start: PeerStart,
): Promise<{ targets: Target[]; versions: Record<string, string> }> {
  const targets: Target[] = [];
  const versions: Record<string, string> = {};
  for (const peer of peers) {
    const found = peer.find();
    if ('absent' in found) {
      say(`${peer.name}: absent, ${found.absent}`);
      continue;
    }
    try {
      const { running, port, probePort } = await startPeer(stage, peer, start);
      if (peer.watch !== undefined) watch(probePort, peer.watch);
      targets.push({ name: peer.name, port, pid: running.pid });
      versions[peer.name] = found.version;
      say(`${peer.name} ${found.version}: ${peer.says}`);
    } catch (error) {
      say(`${peer.name}: left out, ${(error as Error).message}`);
    }
  }
  return { targets, versions };
}

/** Reads an answer that does not end, until the process does. */
function watch(port: number, path: string): void {
  get({ port, path, host: '127.0.0.1' }, (reply) => reply.resume()).on('error', () => {});
}

/** Warm-up for all, then rounds A, B, C, A, B, C, … A target that fails is left out of the later rounds. */
async function measureShape(
  targets: readonly Target[],
  shape: Shape,
  options: Options & { readonly upstreams: readonly number[] },
): Promise<ShapeResult> {
  const load = loadAverage();
  const rounds = new Map<string, Round[]>();
  const measure = async (target: Target, seconds: number): Promise<Round | undefined> => {
    try {
      return await measureRound(target, shape, { seconds, upstreams: options.upstreams });
    } catch (error) {
      rounds.delete(target.name);
      say(`${target.name}: left out of ${shape.name}, ${(error as Error).message}`);
      return undefined;
    }
  };
  for (const target of targets) {
    if (options.warmup === 0 || (await measure(target, options.warmup)) !== undefined) rounds.set(target.name, []);
  }
  for (let round = 0; round < options.rounds; round += 1) {
    for (const target of targets.filter((each) => rounds.has(each.name))) {
      const figures = await measure(target, options.seconds);
      if (figures !== undefined) rounds.get(target.name)?.push(figures);
    }
  }
  return { shape, loadAverage: load, rounds };
}

/** Versions of the programs that a run cannot do without; fails with what to install. */
function findTools(): Record<string, string> {
  for (const name of ['wrk', 'nginx']) {
    if (onPath(name) === undefined)
      throw new Error(
        `Expected ${name} on the PATH (it is the ${name === 'wrk' ? 'load tool' : 'upstream'}); on Debian and Ubuntu: apt-get install ${name}`,
      );
  }
  return {
    'wrk': versionOf('wrk', ['-v']),
    'upstreams: nginx': versionOf('nginx', ['-v']),
    'node': process.versions.node,
  };
}

function readOptions(): Options | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      peers: text,
      shapes: text,
      rounds: text,
      seconds: text,
      warmup: text,
      json: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  return {
    peers: choose(PEERS, values.peers ?? DEFAULT_PEERS, 'Peer'),
    shapes: parseShapes(values.shapes ?? DEFAULT_SHAPES),
    rounds: wholeNumber('--rounds', values.rounds ?? '5', 1),
    seconds: wholeNumber('--seconds', values.seconds ?? '2', 1),
    warmup: wholeNumber('--warmup', values.warmup ?? '2', 0),
    json: values.json,
  };
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`${flag} must be a whole number of at least ${least}, got ${JSON.stringify(text)}`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
