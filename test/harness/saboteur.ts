import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, MessagePort, workerData } from 'node:worker_threads';

// Loaded into a mesh under test with `--import`, which worker threads inherit. What a thread shall do to itself stands in a
// file with its name, so that the mesh needs no code for being broken.

/** A thread of the mesh: its main thread, or the index of a worker. */
export type ThreadName = 'main' | number;

/**
 * What a thread can be told to do to itself. `block` takes milliseconds; nothing but its end stops `hang`. `jump`: its wall clock
 * goes by so many milliseconds more, as when somebody sets that of the machine; the monotonic clock knows nothing of it. `hoard`: it
 * keeps so many MiB of its heap, in place of what it kept before.
 */
export type Deed = 'throw' | 'exit' | 'exhaust' | 'hang' | `block ${number}` | `jump ${number}` | `hoard ${number}`;

/** What a worker holds. */
export interface Holdings {
  /** JavaScript heap after a garbage collection. */
  readonly heapBytes: number;
  /** Sockets, timers and whatever else keeps its event loop alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
}

/** How long an event loop did nothing else at most, since it was last asked. */
export interface Delay {
  /** With an error of a few milliseconds. */
  readonly ms: number;
  /** Of all that time, what the thread had of a processor: on a busy machine the rest was somebody else's. */
  readonly processorMs: number;
}

/** In the main thread: transferring a socket fails, as in a Node that has not learned it. */
export const NO_TRANSFER = 'no-transfer';
/** Asks for the holdings, which are written to the file with this ending. */
export const HOLDINGS = 'holdings';
/** Asks for the longest delay, which is written to the file with this ending; from the first time on it is measured. */
export const DELAY = 'delay';

const LOOK_MS = 10;
const MEASURE_MS = 2;
/** Large pieces are filled sooner than the supervisor takes the worker for stuck. */
const PIECE = 1_000_000;
/** A number takes eight bytes in an array. */
const NUMBERS_PER_MIB = 2 ** 17;
const folder = process.env['SABOTAGE'];

if (folder !== undefined) {
  if (isMainThread && existsSync(join(folder, NO_TRANSFER))) forbidTransfer();
  const worker = (workerData as { readonly worker?: number } | null)?.worker;
  if (isMainThread || worker !== undefined) obey(join(folder, String(worker ?? 'main')));
}

function obey(file: string): void {
  setInterval(() => {
    if (!existsSync(file)) return;
    const [deed = '', parameter] = readFileSync(file, 'utf8').split(' ');
    rmSync(file);
    if (deed === HOLDINGS) answer(`${file}.${HOLDINGS}`, holdings());
    else if (deed === DELAY) answer(`${file}.${DELAY}`, longestDelay());
    else perform(deed, Number(parameter));
  }, LOOK_MS).unref();
}

function perform(deed: string, parameter: number): void {
  switch (deed) {
    case 'throw':
      throw new Error('Sabotage');
    case 'exit':
      process.exit(3);
    case 'exhaust':
      exhaust();
      break;
    case 'block':
      block(parameter);
      break;
    case 'jump':
      jump(parameter);
      break;
    case 'hoard':
      hoard(parameter);
      break;
    case 'hang':
      block(Number.POSITIVE_INFINITY);
      break;
  }
}

function exhaust(): void {
  const kept: number[][] = [];
  while (performance.now() > 0) kept.push(Array.from<number>({ length: PIECE }).fill(0));
}

const hoarded: number[][] = [];

function hoard(mib: number): void {
  hoarded.length = 0;
  const piece = Array.from({ length: NUMBERS_PER_MIB }, () => 0);
  while (hoarded.length < mib) hoarded.push([...piece]);
}

function block(forMs: number): void {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs);
}

function jump(byMs: number): void {
  const Before = Date;
  globalThis.Date = new Proxy(Before, {
    construct: (_target, parameters: unknown[]) =>
      Reflect.construct(Before, parameters.length === 0 ? [Before.now() + byMs] : parameters) as object,
    get: (target, name) =>
      name === 'now' ? (): number => Before.now() + byMs : (Reflect.get(target, name) as unknown),
  });
}

function holdings(): Holdings {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return { heapBytes: process.memoryUsage().heapUsed, resources };
}

let longest: { ms: number; processorMs: number } | undefined;

function longestDelay(): Delay {
  if (longest === undefined) measureDelays();
  const delay = longest ?? { ms: 0, processorMs: 0 };
  longest = { ms: 0, processorMs: 0 };
  return delay;
}

function measureDelays(): void {
  let lastMs = performance.now();
  let lastProcessorMs = processorMs();
  setInterval(() => {
    const nowMs = performance.now();
    const nowProcessorMs = processorMs();
    const ms = nowMs - lastMs - MEASURE_MS;
    if (longest !== undefined && ms > longest.ms) longest = { ms, processorMs: nowProcessorMs - lastProcessorMs };
    lastMs = nowMs;
    lastProcessorMs = nowProcessorMs;
  }, MEASURE_MS).unref();
}

function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Renamed, so that it is read whole. */
function answer(file: string, value: Holdings | Delay): void {
  writeFileSync(`${file}.new`, JSON.stringify(value));
  renameSync(`${file}.new`, file);
}

function forbidTransfer(): void {
  const postMessage = Reflect.get(MessagePort.prototype, 'postMessage') as (...parameters: unknown[]) => void;
  MessagePort.prototype.postMessage = function (this: MessagePort, ...parameters: unknown[]): void {
    const [, transfer] = parameters;
    if (Array.isArray(transfer) && transfer.some((item) => item instanceof Socket))
      throw new DOMException('Cannot transfer object of unsupported type.', 'DataCloneError');
    Reflect.apply(postMessage, this, parameters);
  };
}
