import { parentPort } from 'node:worker_threads';
import { startCopy } from './copies.ts';
import { COPIES } from './shop.ts';
import { startTraffic, warmUp } from './traffic.ts';

/** The root of the thread that plays all others: the copies of the Services, and those who ask them. */
export type ToThread = { readonly type: 'traffic'; readonly host: string; readonly port: number };

/** Ports of all copies, in the order of `COPIES`. */
export type FromThread = { readonly type: 'started'; readonly ports: readonly number[] };

if (parentPort === null) throw new Error('thread.ts runs as a worker thread only');
const port = parentPort;
const ports = await Promise.all(COPIES.map(startCopy));
const started: FromThread = { type: 'started', ports };
port.postMessage(started);
// While the mesh starts.
const warm = Promise.all(ports.map(warmUp));
port.on('message', (message: ToThread) => {
  void warm.then(() => {
    startTraffic(message);
  });
});
