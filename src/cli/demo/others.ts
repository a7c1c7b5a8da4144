import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FromThread, ToThread } from './thread.ts';

/** What stands around the mesh: copies of Services, clients, and a broker. They have a thread of their own, and end with it. */
export interface Others {
  /** Ports of the copies, in the order of `COPIES`. */
  readonly ports: readonly number[];
  /** A copy says what it has got, one line. */
  onTold: (line: string) => void;
  /** Begins to send requests through the mesh. */
  startTraffic(mesh: { readonly host: string; readonly port: number }): void;
  /** Resolves with the port of the demo's own broker on loopback. */
  startBroker(): Promise<number>;
  /** Cuts everything. */
  stop(): Promise<void>;
}

/** Rejects when a copy finds no port. */
export async function startOthers(): Promise<Others> {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const thread = new Worker(new URL(`./thread${extname(import.meta.filename)}`, import.meta.url));
  const send = (message: ToThread): void => {
    thread.postMessage(message);
  };
  const { ports } = await said(thread, 'started');
  const others: Others = {
    ports,
    onTold: () => {},
    startTraffic({ host, port }) {
      send({ type: 'traffic', host, port });
    },
    async startBroker() {
      send({ type: 'broker' });
      return (await said(thread, 'broker')).port;
    },
    async stop() {
      await thread.terminate();
    },
  };
  thread.on('message', (message: FromThread) => {
    if (message.type === 'told') others.onTold(message.line);
  });
  return others;
}

/** The next message of that type. Rejects when the thread fails. */
async function said<T extends FromThread['type']>(
  thread: Worker,
  type: T,
): Promise<Extract<FromThread, { readonly type: T }>> {
  for (;;) {
    const [message] = (await once(thread, 'message')) as [FromThread];
    if (message.type === type) return message as Extract<FromThread, { readonly type: T }>;
  }
}
