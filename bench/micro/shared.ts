import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { SharedMemory } from '../../src/model/message.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { allocateShared, backendRow, BUCKET_BYTES, Budget, Places } from '../../src/shared.ts';
import { table } from '../load/report.ts';
import { spread } from '../load/results.ts';
import { sample } from './sample.ts';

/**
 * Nanoseconds that an exchange costs in the memory which all workers share: a place is taken and given back, and a request is
 * counted in the budget. Alone, and while another worker does the same to the same backend as fast as it can, which no real
 * load comes near. The goal is 150 ns together, alone.
 */
const WORKERS = 4;
const ROW = 7;
const SAMPLES = 15;
const SAMPLE_MS = 100;
/** The other thread ends by itself. */
const OTHER_MS = 60_000;
const { budget, maxInFlight } = DEFAULT_BACKEND_POLICY;

/** What a worker does for an exchange, step by step. */
interface Steps {
  readonly place: () => void;
  readonly refusal: () => void;
  readonly request: () => void;
  readonly exchange: () => void;
}

function stepsOf(memory: SharedMemory, worker: number): Steps {
  const own = backendRow(memory, ROW);
  const places = new Places(memory, own, worker);
  const sent = new Budget(memory, own, worker);
  let nowMs = performance.now();
  const place = (): void => {
    if (places.take(maxInFlight)) places.give();
  };
  const refusal = (): void => void places.take(0);
  const request = (): void => sent.request((nowMs += 0.001), budget);
  const exchange = (): void => {
    request();
    place();
  };
  return { place, refusal, request, exchange };
}

async function main(): Promise<void> {
  const memory = allocateShared(WORKERS, BUCKET_BYTES);
  const steps = stepsOf(memory, 0);
  const alone = measureAll(steps);
  const other = new Worker(new URL(import.meta.url), { workerData: memory });
  await new Promise((resolve) => void other.once('message', resolve));
  await sleep(100);
  const beside = measureAll(steps);
  await other.terminate();
  const rows = [['step', 'alone ns', '(min..max)', 'beside another ns', '(min..max)']];
  for (const name of ['place', 'refusal', 'request', 'exchange'] as const)
    rows.push([name, ...alone[name], ...beside[name]]);
  process.stdout.write(`${table(rows)}\n`);
}

/** In rounds, so that what else the machine does is shared by all. */
function measureAll(steps: Steps): Record<keyof Steps, [median: string, range: string]> {
  const samples: Record<keyof Steps, number[]> = { place: [], refusal: [], request: [], exchange: [] };
  const names = Object.keys(samples) as (keyof Steps)[];
  for (const name of names) sample(steps[name], SAMPLE_MS);
  for (let round = 0; round < SAMPLES; round++)
    for (const name of names) samples[name].push(sample(steps[name], SAMPLE_MS));
  const shown = (name: keyof Steps): [string, string] => {
    const { median, min, max } = spread(samples[name]);
    return [median.toFixed(0), `${min.toFixed(0)}..${max.toFixed(0)}`];
  };
  return { place: shown('place'), refusal: shown('refusal'), request: shown('request'), exchange: shown('exchange') };
}

if (isMainThread) await main();
else {
  const { exchange } = stepsOf(workerData as SharedMemory, 1);
  parentPort!.postMessage('begun');
  for (const endMs = performance.now() + OTHER_MS; performance.now() < endMs;)
    for (let index = 0; index < 1000; index++) exchange();
}
