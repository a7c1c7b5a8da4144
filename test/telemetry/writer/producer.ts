/** A thread that owns four buffers, fills them with lines and sends them to the writer. */
import { once } from 'node:events';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Batch, Spent } from '../../../src/telemetry/writer.ts';

export interface Send {
  readonly lines: number;
  /** Length of the filling of a line. */
  readonly bytes: number;
  /** When no buffer is free: wait for one, or drop the line. */
  readonly whenFull: 'wait' | 'drop';
}

export interface Sent {
  readonly sent: number;
  readonly dropped: number;
  /** Longest time that one line took. */
  readonly slowestMs: number;
}

const BUFFERS = 4;
const BUFFER_BYTES = 256 * 1024;

const { port, index: producer } = workerData as { port: MessagePort; index: number };
const free = Array.from({ length: BUFFERS }, () => new ArrayBuffer(BUFFER_BYTES));
let filling: { buffer: ArrayBuffer; length: number; lines: number } | undefined;
let index = 0;

port.on('message', ({ buffer }: Spent) => free.push(buffer));
parentPort?.on('message', (command: Send) => {
  void send(command).then((sent) => parentPort?.postMessage(sent));
});

async function send({ lines, bytes, whenFull }: Send): Promise<Sent> {
  let sent = 0;
  let dropped = 0;
  let slowestMs = 0;
  for (let turn = 0; turn < lines; turn++) {
    // Buffers come back only when the event loop turns.
    if (turn % 100 === 0) await new Promise(setImmediate);
    const startMs = performance.now();
    const line = Buffer.from(`${JSON.stringify({ producer, index: index++, pad: 'x'.repeat(bytes) })}\n`);
    if (whenFull === 'wait') while (!hasRoom(line.length)) await once(port, 'message');
    if (hasRoom(line.length)) {
      append(line);
      sent++;
    } else dropped++;
    if (whenFull === 'drop') slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  flush();
  return { sent, dropped, slowestMs };
}

function hasRoom(length: number): boolean {
  if (filling !== undefined && filling.length + length > BUFFER_BYTES) flush();
  if (filling === undefined) {
    const buffer = free.pop();
    filling = buffer && { buffer, length: 0, lines: 0 };
  }
  return filling !== undefined;
}

function append(line: Buffer): void {
  new Uint8Array(filling!.buffer).set(line, filling!.length);
  filling!.length += line.length;
  filling!.lines++;
}

function flush(): void {
  if (filling === undefined || filling.lines === 0) return;
  const batch: Batch = filling;
  filling = undefined;
  port.postMessage(batch, [batch.buffer]);
}
