import { randomInt } from 'node:crypto';
import net from 'node:net';
import { deserialize, getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { SeededDice } from './lib/dice.ts';
import { nextTurn } from './lib/next-turn.ts';
import { closeQuietly } from './lib/quiet-close.ts';
import { CELLS, Slots } from './lib/slots.ts';
import { TimerWheel } from './lib/timer-wheel.ts';
import type { Batch, BatchKind, FromWorker, ListenerName, ToWorker, WorkerSeed } from './model/message.ts';
import type { ExplainQuestion } from './model/explanation.ts';
import { BRIDGE_BACKEND, type Change } from './model/snapshot.ts';
import { Bridge } from './bridge.ts';
import { LiveBackend } from './proxy/balance.ts';
import { Chance, type Plan } from './proxy/decide.ts';
import { explain } from './proxy/explain.ts';
import { DROP_FROM_REQUEST, Edits, HeadPool, onDefect, runTimer } from './proxy/http.ts';
import { Keeper } from './proxy/health.ts';
import { RateLimits } from './proxy/filter.ts';
import { termsOf } from './proxy/route.ts';
import { Listener } from './proxy/listener.ts';
import { Mirrors, Pressure, type ServeContext } from './proxy/serve.ts';
import type { UpstreamContext } from './proxy/upstream.ts';
import { ROW_BRIDGE, ROW_NONE } from './model/rows.ts';
import { AccessLog, Lines, Observer, BackendMeter, Taps, WORKER, WorkerMeter } from './telemetry.ts';
import { emptyPlan, Planner } from './worker/plan.ts';
import { type Heap, HEARTBEAT_MS, Pulse } from './worker/pulse.ts';

/** A port that is never quiet is closed all the same. */
const CLOSE_MS_MAX = 1000;
const BACKLOG = 4096;
const LINES_BYTES = 64 * 1024;
const TAP_BYTES = 512 * 1024;

// The root of a worker thread: wires the parts of the data path together and obeys the main thread.
if (parentPort === null) throw new Error('worker.ts runs as a worker thread only');
const port = parentPort;
const { worker, settings, slots: buffer, meters, shared, log } = workerData as WorkerSeed;
const { limits, timeouts } = settings;
const slots = new Slots(buffer);
const meter = new WorkerMeter(meters, worker);
const pressure = new Pressure(meter, new SeededDice(randomInt(2 ** 32)));

const accessLines = new Lines((batch) => {
  log.postMessage(batch, [batch.buffer]);
}, LINES_BYTES);
const spans = settings.otlpEndpoint === undefined ? undefined : new Lines(batchTo('spans'), LINES_BYTES);
const tapLines = new Lines(batchTo('taps'), TAP_BYTES);
const taps = new Taps(worker, tapLines);

const observer = new Observer(new AccessLog(settings, worker, accessLines), taps, spans);

const upstream: UpstreamContext = {
  heads: new HeadPool(limits.headers),
  wheel: new TimerWheel(performance.now(), runTimer),
  dice: new SeededDice(randomInt(2 ** 32)),
  limits,
  timeouts,
  headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
  bodyLimits: {
    chunkExtension: limits.chunkExtension,
    trailers: { head: limits.trailers, headers: limits.headers, url: 0 },
  },
  meters,
  shared,
  worker,
};
const bridge = new Bridge(
  {
    worker,
    settings,
    onReport: (report) => {
      tell({ type: 'bridge', report });
    },
  },
  () => serve,
);
const serve: ServeContext & { plan: Plan } = {
  ...upstream,
  plan: emptyPlan(settings.clusterDomain),
  edits: new Edits(DROP_FROM_REQUEST),
  chance: new Chance(randomInt(2 ** 32)),
  mirrors: new Mirrors(),
  terms: termsOf(settings, []),
  pressure,
  rateLimits: new RateLimits(shared, worker),
  observer,
  unrouted: new BackendMeter(meters, worker, ROW_NONE),
  traceSample: settings.traceSample,
  messages: bridge,
  bridge: new LiveBackend({ backend: BRIDGE_BACKEND, row: ROW_BRIDGE, endpointRows: [] }, upstream),
};
const planner = new Planner(upstream);
const keeper = new Keeper(upstream, () => serve.plan, upstream.dice);
const listener = new Listener(serve, settings.trustForwardedFrom, meter, () => {
  slots.increment(worker, CELLS.closed);
});
/** Of our own, with `--accept reuseport`. */
const servers = new Map<ListenerName, net.Server>();

onDefect(tellDefect);
upstream.wheel.start();
const pulse = new Pulse(limits, meter, pressure, heap, performance.now());
setInterval(() => {
  slots.increment(worker, CELLS.heartbeat);
  beat();
}, HEARTBEAT_MS);
log.on('message', ({ buffer: spent }: { buffer: ArrayBuffer }) => {
  accessLines.give(spent);
});

/** What is known so far goes on its way. */
function flush(): void {
  for (const lines of [accessLines, tapLines, spans]) lines?.flush();
}

function beat(): void {
  const nowMs = performance.now();
  pulse.beat(nowMs);
  try {
    keeper.beat(slots.get(worker, CELLS.keeper) === 1, nowMs);
  } catch (error) {
    // Else it would end this worker, and then the next keeper.
    tellDefect(error);
  }
  flush();
  meter.set(WORKER.accessLines, accessLines.written);
  meter.set(WORKER.accessLinesDropped, accessLines.dropped);
  meter.set(WORKER.tapDropped, tapLines.dropped);
  if (spans === undefined) return;
  meter.set(WORKER.spans, spans.written);
  meter.set(WORKER.spansDropped, spans.dropped);
}

/** `heap_size_limit` has room for young objects beside what ends the worker: of 32 MiB it would never use 90 %. */
function heap(): Heap {
  return { used: getHeapStatistics().used_heap_size, limit: limits.workerHeap };
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'connection':
      slots.increment(worker, CELLS.received);
      listener.take(message.socket, message.listener, message.port);
      break;
    case 'change':
      read(message.bytes);
      break;
    case 'listen':
      servers.set(message.listener, listen(message));
      break;
    case 'drain':
      listener.drain();
      bridge.drain();
      break;
    case 'cut':
      listener.cut();
      break;
    case 'taps':
      taps.set(message.taps);
      break;
    case 'buffer':
      (message.kind === 'taps' ? tapLines : spans)?.give(message.buffer);
      break;
    case 'secrets':
      bridge.admit(message.secrets);
      break;
    case 'probe-trace':
      observer.probe(message.traceId);
      break;
    case 'explain':
      answer(message.id, message.question);
      break;
    case 'finish':
      void finish();
      break;
  }
});

/** A defect in the answer costs the answer, not the worker. */
function answer(id: number, question: ExplainQuestion): void {
  const { plan, rateLimits } = serve;
  const listenerPort = settings.meshListen?.port ?? 0;
  try {
    const context = {
      directory: plan,
      generation: plan.generation,
      settings,
      listenerPort,
      live: { backends: plan.backends, rateLimits },
    };
    tell({ type: 'explained', id, explanation: explain(question, context) });
  } catch (error) {
    tellDefect(error);
  }
}

function tellDefect(error: unknown): void {
  meter.add(WORKER.defects, 1);
  tell({ type: 'defect', stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

async function finish(): Promise<void> {
  await Promise.all([...servers.values()].map((server) => closeQuietly(server, CLOSE_MS_MAX)));
  const empty = new Promise<void>((resolve) => {
    listener.finish(resolve);
  });
  await Promise.all([empty, bridge.finish()]);
  flush();
  tell({ type: 'finished' });
}

/** A large change is read in one turn of the event loop and obeyed in another, so that requests wait less for it. */
function read(bytes: Uint8Array): void {
  const change = deserialize(bytes) as Change;
  nextTurn(() => {
    apply(change);
  });
}

/** A change that cannot be obeyed is told, and the plan stays as it is. */
function apply(change: Change): void {
  const { generation } = change;
  try {
    serve.plan = planner.next(serve.plan, change);
  } catch (error) {
    tell({ type: 'kept', generation, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    return;
  }
  bridge.obey(serve.plan);
  tell({ type: 'applied', generation });
}

function listen({ listener: name, host, port: asked }: Extract<ToWorker, { type: 'listen' }>): net.Server {
  let chosen = asked;
  const opened = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
    listener.take(socket, name, chosen);
  });
  opened.on('error', (error) => {
    tell({ type: 'refused', message: error.message, listener: name });
  });
  opened.listen({ host, port: asked, reusePort: true, backlog: BACKLOG }, () => {
    chosen = (opened.address() as net.AddressInfo).port;
    tell({ type: 'listening', port: chosen, listener: name });
  });
  return opened;
}

function batchTo(kind: BatchKind): (batch: Batch) => void {
  return (batch) => {
    port.postMessage({ type: 'batch', kind, batch } satisfies FromWorker, [batch.buffer]);
  };
}

function tell(message: FromWorker): void {
  port.postMessage(message);
}
