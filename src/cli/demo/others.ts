import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FromThread, ToThread } from './thread.ts';

/** What stands around the mesh: copies of Services, and clients. They have a thread of their own, and end with it. */
export interface Others {
  /** Ports of the copies, in the order of `COPIES`. */
  readonly ports: readonly number[];
  /** Begins to send requests through the mesh. */
  startTraffic(mesh: { readonly host: string; readonly port: number }): void;
  /** Cuts everything. */
  stop(): Promise<void>;
}

/** Rejects when a copy finds no port. */
export async function startOthers(): Promise<Others> {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const thread = new Worker(new URL(`./thread${extname(import.meta.filename)}`, import.meta.url));
  const [started] = (await once(thread, 'message')) as [FromThread];
  return {
    ports: started.ports,
    startTraffic({ host, port }) {
      const message: ToThread = { type: 'traffic', host, port };
      thread.postMessage(message);
    },
    async stop() {
      await thread.terminate();
    },
  };
}
