import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { Broker } from '../../test/harness/broker.ts';
import { choosePinning, describeMachine, loadAverage, onPath, pinSelf } from '../load/machine.ts';
import { cpuMicroseconds, residentBytes } from '../load/process.ts';
import { table } from '../load/report.ts';
import { spread } from '../load/results.ts';
import { Stage } from '../load/stage.ts';
import { type Latency, latencies, type LatencyName } from './latency.ts';
import { bulk, calls, events, pushes } from './loads.ts';
import { BareClient, startEndpoint, startNode } from './programs.ts';
import { type OutsideShape, type OwnShape, SHAPE_NAMES, type ShapeName, SHAPES, SUBJECTS } from './shapes.ts';

// npm run bench:messages: what messages cost by the bridge, and by the bare client beside it.

const HELP = `Measures the bridge per second of processor time, beside the bare client that does the same work.

  npm run bench:messages -- [--shapes LIST] [--rounds N] [--seconds S] [--json FILE] [--profile FOLDER]

  --shapes LIST      of ${SHAPE_NAMES.join(',')} (all)
  --rounds N         of each shape, bridge and bare client in turn (3)
  --seconds S        of each (4)
  --json FILE        also write the figures of all rounds
  --profile FOLDER   have the node leave a CPU profile of each thread there

How to read the figures: bench/README.md
`;

const GOAL_P50_MS = 1;
const EVENTS_AT_ONCE = 50;
const WARM_SECONDS = 2;
const WARM_LATENCY_SECONDS = 2;

interface Options {
  readonly shapes: readonly ShapeName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly json: string | undefined;
  readonly profile: string | undefined;
}

/** What one of the two did in one round. */
interface Figure {
  readonly count: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
  /** Memory when it was done. */
  readonly residentBytes: number;
}

interface Round {
  readonly bridge: Figure;
  readonly bare: Figure;
}

interface Results {
  readonly machine: string;
  readonly loadAverage: number;
  readonly shapes: Partial<Record<ShapeName, readonly Round[]>>;
  readonly latency: readonly Readonly<Record<LatencyName, Latency>>[];
}

/** Work of each kind for so many seconds; gives how many messages it was. */
type Work = Readonly<Record<ShapeName, (seconds: number) => Promise<number>>>;

/** Connections of ours, not measured. */
interface Server {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

/** One of the two that are compared. */
interface Peer {
  readonly pid: number;
  readonly work: Work;
}

/** All that the work needs. */
interface Scene extends Server {
  readonly bridge: Peer & { readonly port: number };
  readonly bare: Peer;
}

function readOptions(): Options | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { shapes: text, rounds: text, seconds: text, json: text, profile: text, help: { type: 'boolean' } },
  });
  if (values.help === true) return undefined;
  const number = (name: 'rounds' | 'seconds', usual: number): number => {
    const given = Number(values[name] ?? usual);
    if (Number.isInteger(given) && given > 0) return given;
    throw new Error(`--${name}: Expected a whole number above 0, got ${String(values[name])}`);
  };
  const shapes = (values.shapes ?? SHAPE_NAMES.join(',')).split(',').map((name) => {
    const found = SHAPE_NAMES.find((known) => known === name);
    if (found === undefined) throw new Error(`--shapes: Expected some of ${SHAPE_NAMES.join(',')}, got ${name}`);
    return found;
  });
  return {
    shapes,
    rounds: number('rounds', 3),
    seconds: number('seconds', 4),
    json: values.json,
    profile: values.profile,
  };
}

async function measureAll(options: Options): Promise<Results> {
  const machine = describeMachine();
  const pinning = choosePinning();
  pinSelf(pinning);
  console.log(pinning.says);
  const stage = new Stage();
  const broker = await Broker.start({ jetstream: true });
  const clients: BareClient[] = [];
  try {
    const connection = await broker.connect();
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'STORED', subjects: [SUBJECTS.stored] });
    await manager.streams.add({ name: 'PUSHED', subjects: [SUBJECTS.pushed] });
    await manager.streams.add({ name: 'PUSHED-BARE', subjects: [SUBJECTS.pushedBare] });
    const endpointPort = await startEndpoint(stage);
    const echo = await BareClient.start(broker.url, undefined);
    clients.push(echo);
    await echo.obey({ do: 'echo' });
    const bare = await BareClient.start(broker.url, pinning.proxyCore);
    clients.push(bare);
    await bare.obey({ do: 'push', port: endpointPort });
    const { port: eventsPort } = await bare.obey({ do: 'sse' });
    const core = pinning.proxyCore;
    const node = await startNode(stage, { url: broker.url, endpointPort, core, profile: options.profile });
    const server = { connection, manager };
    const scene = {
      ...server,
      bridge: { ...node, work: bridgeWork(server, node.port) },
      bare: { pid: bare.pid, work: bareWork(server, bare, eventsPort) },
    };
    return { machine, ...(await measure(scene, options)) };
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    await stage.close();
    await broker.stop();
  }
}

/** What both are measured by, where the work is of the kind that only others can ask for. */
function askedFor(server: Server, stream: string, subject: string, eventsPort: number): Pick<Work, OutsideShape> {
  const { connection } = server;
  return {
    'push': (seconds) => pushes(server, { stream, subject }, seconds),
    'sse': (seconds) => events(connection, { port: eventsPort, atOnce: EVENTS_AT_ONCE }, seconds),
    'sse-single': (seconds) => events(connection, { port: eventsPort, atOnce: 1 }, seconds),
  };
}

function bridgeWork(server: Server, port: number): Work {
  const publish = (subject: string, ack: string) => (seconds: number) =>
    calls(port, `/v1/publish/${subject}?ack=${ack}`, seconds);
  return {
    none: publish(SUBJECTS.plain, 'none'),
    server: publish(SUBJECTS.plain, 'server'),
    stream: publish(SUBJECTS.stored, 'stream'),
    request: (seconds) => calls(port, `/v1/request/${SUBJECTS.echo}`, seconds),
    ndjson: (seconds) => bulk(port, seconds),
    ...askedFor(server, 'PUSHED', SUBJECTS.pushed, port),
  };
}

function bareWork(server: Server, bare: BareClient, eventsPort: number): Work {
  const own = (shape: OwnShape) => async (seconds: number) => (await bare.obey({ do: 'work', shape, seconds })).count;
  return {
    none: own('none'),
    server: own('server'),
    stream: own('stream'),
    request: own('request'),
    ndjson: own('ndjson'),
    ...askedFor(server, 'PUSHED-BARE', SUBJECTS.pushedBare, eventsPort),
  };
}

/** A round measures each of the two once: what the neighbours on the machine do then hits both. */
async function measure(scene: Scene, options: Options): Promise<Omit<Results, 'machine'>> {
  const { manager, connection, bridge, bare } = scene;
  const load = loadAverage();
  const shapes: Partial<Record<ShapeName, Round[]>> = {};
  for (const shape of options.shapes) {
    await bridge.work[shape](WARM_SECONDS);
    await bare.work[shape](WARM_SECONDS);
    const rounds: Round[] = [];
    for (let index = 0; index < options.rounds; index++) {
      rounds.push({
        bridge: await measured(bridge, shape, options.seconds),
        bare: await measured(bare, shape, options.seconds),
      });
    }
    shapes[shape] = rounds;
    console.log(line(shape, rounds));
    for (const stream of ['STORED', 'PUSHED', 'PUSHED-BARE']) await manager.streams.purge(stream);
  }
  const latency: Record<LatencyName, Latency>[] = [];
  for (let index = 0; index < options.rounds; index++)
    latency.push(await latencies(connection, bridge.port, WARM_LATENCY_SECONDS + options.seconds));
  return { loadAverage: load, shapes, latency };
}

async function measured(peer: Peer, shape: ShapeName, seconds: number): Promise<Figure> {
  const cpuUs = cpuMicroseconds(peer.pid);
  const startMs = performance.now();
  const count = await peer.work[shape](seconds);
  return {
    count,
    cpuSeconds: (cpuMicroseconds(peer.pid) - cpuUs) / 1e6,
    seconds: (performance.now() - startMs) / 1000,
    residentBytes: residentBytes(peer.pid),
  };
}

/** A row of the table: medians over the rounds. */
function row(shape: ShapeName, rounds: readonly Round[]): readonly string[] {
  const { says, goal } = SHAPES[shape];
  const perCpu = spread(rounds.map(({ bridge }) => bridge.count / bridge.cpuSeconds));
  const bare = spread(rounds.map((round) => round.bare.count / round.bare.cpuSeconds));
  const rate = spread(rounds.map(({ bridge }) => bridge.count / bridge.seconds));
  return [
    `${shape}: ${says}`,
    whole(perCpu.median),
    `${whole(perCpu.min)}..${whole(perCpu.max)}`,
    whole(rate.median),
    whole(bare.median),
    `${whole(spread(rounds.map(({ bridge }) => bridge.residentBytes)).median / 1e6)} MB`,
    goal === undefined ? '' : `>= ${whole(goal)} ${perCpu.median >= goal ? 'reached' : 'missed'}`,
  ];
}

function line(shape: ShapeName, rounds: readonly Round[]): string {
  const [what = '', ...figures] = row(shape, rounds);
  return `${what}: ${figures.join('  ')}`;
}

function report({ machine, loadAverage: load, shapes, latency }: Results): string {
  const rows = SHAPE_NAMES.flatMap((shape) => {
    const rounds = shapes[shape];
    return rounds === undefined ? [] : [row(shape, rounds)];
  });
  const header = ['what', 'per CPU second', 'least..most', 'per second', 'bare client, per CPU second', 'RSS', 'goal'];
  const added = (['request', 'server'] as const).map((name) => {
    const median = (pick: (each: Latency) => number): number => spread(latency.map((each) => pick(each[name]))).median;
    const addedMs = median(({ bridgeMs, bareMs }) => bridgeMs - bareMs);
    return [
      name,
      milliseconds(median(({ bridgeMs }) => bridgeMs)),
      milliseconds(median(({ bareMs }) => bareMs)),
      milliseconds(addedMs),
      `< ${milliseconds(GOAL_P50_MS)} ${addedMs < GOAL_P50_MS ? 'reached' : 'missed'}`,
    ];
  });
  return [
    `\n${machine}, load average ${load}\n`,
    table([header, ...rows]),
    '',
    table([['p50 at 20 calls a second', 'bridge', 'bare client', 'added', 'goal'], ...added]),
    '',
  ].join('\n');
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-GB');
}

function milliseconds(value: number): string {
  return `${value.toFixed(2)} ms`;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  for (const program of ['wrk', 'nginx'])
    if (onPath(program) === undefined) throw new Error(`Missing on this machine: ${program}`);
  const results = await measureAll(options);
  process.stdout.write(report(results));
  if (options.json === undefined) return;
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(results, undefined, 2)}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
