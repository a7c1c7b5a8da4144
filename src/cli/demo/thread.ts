import { parentPort } from 'node:worker_threads';
import { startBroker } from './broker.ts';
import { startCopy } from './copies.ts';
import { COPIES } from './shop.ts';
import { startTraffic, warmUp } from './traffic.ts';

/** The root of the thread that plays all others: the copies of the Services, those who ask them, and the broker. */
export type ToThread =
  | { readonly type: 'traffic'; readonly host: string; readonly port: number }
  | { readonly type: 'broker' };

export type FromThread =
  /** Ports of all copies, in the order of `COPIES`. */
  | { readonly type: 'started'; readonly ports: readonly number[] }
  | { readonly type: 'broker'; readonly port: number }
  /** A copy has got a message. */
  | { readonly type: 'told'; readonly line: string };

if (parentPort === null) throw new Error('thread.ts runs as a worker thread only');
const port = parentPort;

function say(message: FromThread): void {
  port.postMessage(message);
}

const ports = await Promise.all(
  COPIES.map((copy) =>
    startCopy(copy, (line) => {
      say({ type: 'told', line });
    }),
  ),
);
say({ type: 'started', ports });
// While the mesh starts.
const warm = Promise.all(ports.map(warmUp));
port.on('message', (message: ToThread) => {
  if (message.type === 'broker') {
    void startBroker().then((broker) => {
      say({ type: 'broker', port: broker.port });
    });
  } else {
    void warm.then(() => {
      startTraffic(message);
    });
  }
});
