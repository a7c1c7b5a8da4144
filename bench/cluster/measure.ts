import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DiscoveryAnswer, EndpointsAnswer, GenerationsAnswer } from '../../src/model/admin.ts';
import { ControlPlane } from '../../test/cluster/control-plane.ts';
import { createFabric } from '../../test/cluster/network.ts';
import { sh } from '../../test/cluster/shell.ts';
import { until } from '../../test/cluster/wait.ts';
import { quantile } from '../../test/faults/figures.ts';
import { sleep } from '../../test/harness/client.ts';
import { describeMachine, loadAverage } from '../load/machine.ts';
import { Acknowledged } from './acknowledged.ts';
import { type Figures, report, type Stop, type Took } from './figures.ts';
import { BenchNode, type MainThread, MESH_PORT } from './node.ts';
import { type Options, readOptions } from './options.ts';
import { ENDPOINT_BLOCK, Population } from './population.ts';
import { Endpoints, Requests, Steadily } from './traffic.ts';

// The first process of its namespaces: nothing of what it starts or stores outlives it.

/** A tmpfs here, so that the disk of the machine is not measured. */
const FOLDER = '/run/bench';
/** Until memory and code are as they will be. */
const SETTLE_MS = 10_000;
const WARM_SECONDS = 20;
const ASKED_SERVICES = 100;
const SAMPLE_MS = 1000;
const REREAD_MS = 5000;

async function main(options: Options): Promise<void> {
  const began = loadAverage();
  await createFabric();
  await sh(`ip route add local ${ENDPOINT_BLOCK} dev lo`);
  const controlPlane = await ControlPlane.start(FOLDER, 'api');
  const { api, kubeconfig } = controlPlane;
  await api.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-0' } });
  const setupOf = (name: string): NodeSetup => {
    const folder = join(FOLDER, name);
    mkdirSync(folder);
    return { kubeconfig, folder };
  };
  try {
    const empty = await emptyNode(setupOf('empty'));
    say(`an empty node: ${(empty.bytes / 1e6).toFixed(0)} MB`);
    const population = new Population(api, options);
    await population.create();
    say('the cluster is there');
    const setup = setupOf('full');
    const node = await BenchNode.start(setup);
    const first = await fullNode(node, options);
    say('the node has it all');
    const changing = await underChanges(node, population, options);
    const anew = await readAnew(node);
    await node.stop();
    const restarted = await fromSnapshot(setup);
    const figures = { empty, first, changing, anew, restarted } satisfies Figures;
    say(report(figures));
    if (options.json !== undefined) keep(options.json, { options, loadAverage: began, figures });
  } finally {
    await controlPlane.stop();
  }
}

async function emptyNode(setup: NodeSetup): Promise<Figures['empty']> {
  const node = await BenchNode.start(setup);
  await node.watched();
  await sleep(SETTLE_MS);
  const figures = { readyMs: node.readyMs, bytes: node.residentBytes };
  await node.stop();
  return figures;
}

async function fullNode(node: BenchNode, { idleSeconds }: Options): Promise<Figures['first']> {
  await fresh(node);
  await sleep(SETTLE_MS);
  const mainThread = stopOf(await node.watched());
  const beforeMs = node.processorMs;
  const startMs = performance.now();
  await sleep(idleSeconds * 1000);
  const idleShare = (node.processorMs - beforeMs) / (performance.now() - startMs);
  return { readyMs: node.readyMs, starting: stopOf(node.starting), mainThread, idleShare, bytes: node.residentBytes };
}

async function underChanges(node: BenchNode, population: Population, options: Options): Promise<Figures['changing']> {
  const endpoints = await Endpoints.start(population);
  const asking = new Requests(MESH_PORT, population.authorities(ASKED_SERVICES));
  const acknowledged = new Acknowledged(node, population.sentMs);
  const requests = new Steadily(options.requests, (turn) => asking.ask(turn));
  const changes = new Steadily(options.changes, () => population.change());
  await sleep(WARM_SECONDS * 1000);
  acknowledged.restart();
  population.answeredMs.length = 0;
  node.watch();
  const beforeMs = node.processorMs;
  const startMs = performance.now();
  const bytes = await sampled(node, options.seconds);
  const share = (node.processorMs - beforeMs) / (performance.now() - startMs);
  const mainThread = stopOf(await node.watched());
  await changes.stop();
  await sleep(SAMPLE_MS);
  const unseen = await acknowledged.stop();
  await requests.stop();
  asking.stop();
  endpoints.stop();
  if (changes.failed > 0) throw new Error(`Expected an API server that takes all, got ${changes.firstFailure}`);
  return {
    took: tookOf(acknowledged.tookMs),
    applied: tookOf(acknowledged.appliedMs),
    answered: tookOf(population.answeredMs),
    unseen,
    changesHeld: changes.held,
    requests: requests.begun,
    failed: requests.failed + requests.held,
    firstFailure: requests.firstFailure,
    late: endpoints.late,
    differences: await differences(node, population),
    mainThread,
    share,
    bytes,
  };
}

async function sampled(node: BenchNode, seconds: number): Promise<readonly number[]> {
  const bytes: number[] = [];
  for (let second = 0; second < seconds; second++) {
    await sleep(SAMPLE_MS);
    bytes.push(node.residentBytes);
  }
  return bytes;
}

/** How many endpoints only one of node and API server knows. */
async function differences(node: BenchNode, population: Population): Promise<number> {
  const answer = await node.ask<EndpointsAnswer>('/endpoints');
  const seen = answer.endpoints.map(({ namespace, name, port, address }) => `${namespace}/${name}:${port} ${address}`);
  return new Set(seen).symmetricDifference(new Set(population.endpoints)).size;
}

/** All kinds are listed once more, and nothing has changed. */
async function readAnew(node: BenchNode): Promise<Figures['anew']> {
  const before = await node.ask<GenerationsAnswer>('/generations');
  node.watch();
  node.reread();
  await sleep(REREAD_MS);
  await fresh(node);
  const mainThread = stopOf(await node.watched());
  const { current } = await node.ask<GenerationsAnswer>('/generations');
  return { mainThread, generations: current - before.current };
}

/** A container that is started anew, while the API server is there. */
async function fromSnapshot(setup: NodeSetup): Promise<Figures['restarted']> {
  const node = await BenchNode.start(setup);
  const { snapshotTime } = await node.ask<DiscoveryAnswer>('/discovery');
  await fresh(node);
  await sleep(SETTLE_MS);
  const mainThread = stopOf(await node.watched());
  const { current } = await node.ask<GenerationsAnswer>('/generations');
  await node.stop();
  const starting = stopOf(node.starting);
  return { readyMs: node.readyMs, began: snapshotTime !== null, starting, mainThread, generations: current };
}

async function fresh(node: BenchNode): Promise<void> {
  await until('all kinds to be followed', async () => {
    const { fresh: isFresh, snapshotTime } = await node.ask<DiscoveryAnswer>('/discovery');
    return isFresh && snapshotTime === null;
  });
}

function tookOf(ms: readonly number[]): Took {
  const maxMs = ms.reduce((most, one) => Math.max(most, one), 0);
  return { count: ms.length, p50Ms: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99), maxMs };
}

function stopOf({ longest, collectionMs, collectionsMs }: MainThread): Stop {
  return {
    blockedMs: Math.max(...longest.map(({ blockedMs }) => blockedMs)),
    busyMs: Math.max(...longest.map(({ busyMs }) => busyMs)),
    collectionMs,
    collectionsMs,
    longest: longest.map(({ blockedMs, busyMs }) => `${blockedMs.toFixed(1)}/${busyMs.toFixed(1)}`),
  };
}

interface NodeSetup {
  readonly kubeconfig: string;
  readonly folder: string;
}

function keep(
  file: string,
  { options, ...rest }: { readonly options: Options; readonly [key: string]: unknown },
): void {
  const { json: _, ...asked } = options;
  const head = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    node: process.versions.node,
    ...asked,
    ...rest,
  };
  mkdirSync(dirname(file), { recursive: true });
  // Each list of figures on a line of its own.
  const text = JSON.stringify(head, (_key, value: unknown) => (isNumbers(value) ? JSON.stringify(value) : value), 1);
  writeFileSync(file, `${text.replaceAll(/"(\[[-\d.,]*\])"/g, '$1')}\n`);
  say(`Kept in ${file}`);
}

function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main(readOptions()!);
process.exit(0);
