import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Outflow } from './outflow.ts';
import type { Batch, ToWriter, WriterSeed } from './protocol.ts';

/** The root of the writer thread: takes batches from all ports, and gives their buffers back. */
if (parentPort === null) throw new Error('thread.ts runs as a worker thread only');
const control = parentPort;
const { fd, totals } = workerData as WriterSeed;
const outflow = new Outflow(fd, new Float64Array(totals));
const ports = new Set<MessagePort>();

control.on('message', (message: ToWriter) => {
  switch (message.type) {
    case 'port':
      join(message.port);
      break;
    case 'close':
      close();
      break;
  }
});

function join(port: MessagePort): void {
  ports.add(port);
  port.on('message', (batch: Batch) => {
    take(batch, port);
  });
  port.on('close', () => {
    ports.delete(port);
  });
}

function take(batch: Batch, port: MessagePort): void {
  outflow.add(batch, () => {
    port.postMessage({ buffer: batch.buffer }, [batch.buffer]);
  });
}

/** What was posted before may still be in the ports: each is a queue of its own. */
function close(): void {
  control.close();
  for (const port of ports) {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      take(next.message as Batch, port);
    }
  }
  // Without ports nothing keeps the thread.
  outflow.whenEmpty(() => {
    for (const port of ports) port.close();
  });
}
