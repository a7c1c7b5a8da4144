import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { CELLS, Slots } from './lib/slots.ts';
import { TimerWheel } from './lib/timer-wheel.ts';
import type { FromWorker, ToWorker, WorkerSeed } from './model/message.ts';
import type { Snapshot } from './model/snapshot.ts';
import { LiveBackend } from './proxy/balance.ts';
import { Decision, type Plan } from './proxy/decide.ts';
import { DROP_FROM_REQUEST, Edits, HeadPool, type HttpContext, onDefect, runTimer } from './proxy/http.ts';
import { Listener } from './proxy/listener.ts';
import { RouteTable } from './proxy/route.ts';
import type { ServeContext } from './proxy/serve.ts';

/** The root of a worker thread: wires the parts of the data path together and obeys the main thread. */
const HEARTBEAT_MS = 50;
const BACKLOG = 4096;

if (parentPort === null) throw new Error('worker.ts runs as a worker thread only');
const port = parentPort;
const { worker, settings, slots: buffer } = workerData as WorkerSeed;
const { limits, timeouts } = settings;
const slots = new Slots(buffer);

const wheel = new TimerWheel(performance.now(), runTimer);
const http: HttpContext = {
  heads: new HeadPool(limits.headers),
  wheel,
  limits,
  timeouts,
  headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
  bodyLimits: {
    chunkExtension: limits.chunkExtension,
    trailers: { head: limits.trailers, headers: limits.headers, url: 0 },
  },
};
const serve: ServeContext & { plan: Plan } = {
  ...http,
  plan: {
    generation: 0,
    routes: new RouteTable({ routes: [], clusterDomain: settings.clusterDomain }),
    backends: new Map(),
  },
  decision: new Decision(),
  edits: new Edits(DROP_FROM_REQUEST),
};
const listener = new Listener(serve, settings.trustForwardedFrom, () => {
  slots.increment(worker, CELLS.closed);
});
let server: net.Server | undefined;

onDefect((error) => {
  tell({ type: 'defect', stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
});
wheel.start();
setInterval(() => {
  slots.increment(worker, CELLS.heartbeat);
}, HEARTBEAT_MS);

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'connection':
      slots.increment(worker, CELLS.received);
      listener.take(message.socket, message.port);
      break;
    case 'snapshot':
      apply(message.snapshot);
      break;
    case 'listen':
      server = listen(message.host, message.port);
      break;
    case 'drain':
      listener.drain();
      break;
    case 'cut':
      listener.cut();
      break;
    case 'finish':
      server?.close();
      listener.finish(() => {
        tell({ type: 'finished' });
      });
      break;
  }
});

/** Builds the plan aside, keeps the state of what stays, and swaps one reference. */
function apply(snapshot: Snapshot): void {
  const before = serve.plan.backends;
  const backends = new Map(
    snapshot.backends.map((backend) => {
      const live = before.get(backend.id);
      live?.update(backend, http);
      return [backend.id, live ?? new LiveBackend(backend, http)];
    }),
  );
  serve.plan = { generation: snapshot.generation, routes: new RouteTable(snapshot), backends };
  for (const [id, backend] of before) if (!backends.has(id)) backend.close();
  tell({ type: 'applied', generation: snapshot.generation });
}

function listen(host: string, listenPort: number): net.Server {
  let chosen = listenPort;
  const opened = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
    listener.take(socket, chosen);
  });
  opened.on('error', (error) => {
    tell({ type: 'refused', message: error.message });
  });
  opened.listen({ host, port: listenPort, reusePort: true, backlog: BACKLOG }, () => {
    chosen = (opened.address() as net.AddressInfo).port;
    tell({ type: 'listening', port: chosen });
  });
  return opened;
}

function tell(message: FromWorker): void {
  port.postMessage(message);
}
