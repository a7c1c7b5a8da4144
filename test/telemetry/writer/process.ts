/** A program whose threads all write to its standard output; a test tells it on standard input what to do. */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { Writer } from '../../../src/telemetry/writer.ts';
import type { Send, Sent } from './producer.ts';

export type Command =
  | ({ readonly type: 'send'; readonly producers: number } & Send)
  /** Lines of the main thread, all in one turn. */
  | { readonly type: 'own'; readonly lines: number; readonly bytes: number }
  | { readonly type: 'end-producers' }
  | { readonly type: 'close'; readonly deadlineMs: number }
  | { readonly type: 'totals' };

export interface Answer {
  readonly producers: readonly Sent[];
  /** Lines that the writer took from the main thread. */
  readonly taken: number;
  readonly tookMs: number;
  /** Longest time that the event loop of the main thread stood still. */
  readonly stallMs: number;
  readonly totals: Writer['totals'];
}

const writer = Writer.start();
const threads: Worker[] = [];
let beatMs = performance.now();
let stallMs = 0;
const beat = setInterval(() => {
  stallMs = Math.max(stallMs, performance.now() - beatMs - 10);
  beatMs = performance.now();
}, 10);
process.exitCode = 7;

for await (const text of createInterface({ input: process.stdin })) {
  const startMs = performance.now();
  const done = await obey(JSON.parse(text) as Command);
  const answer: Answer = {
    producers: [],
    taken: 0,
    ...done,
    tookMs: performance.now() - startMs,
    stallMs,
    totals: writer.totals,
  };
  writeSync(2, `${JSON.stringify(answer)}\n`);
}

async function obey(command: Command): Promise<Partial<Answer>> {
  switch (command.type) {
    case 'send':
      return {
        producers: await Promise.all(Array.from({ length: command.producers }, (_, index) => send(index, command))),
      };
    case 'own': {
      const line = (index: number): string =>
        `${JSON.stringify({ producer: 'main', index, pad: 'x'.repeat(command.bytes) })}\n`;
      return {
        taken: Array.from({ length: command.lines }, (_, index) => writer.write(line(index))).filter(Boolean).length,
      };
    }
    case 'end-producers':
      await Promise.all(threads.splice(0).map(async (thread) => await thread.terminate()));
      break;
    case 'close':
      await writer.close(command.deadlineMs);
      clearInterval(beat);
      process.stdin.destroy();
      break;
    case 'totals':
      break;
  }
  return {};
}

async function send(index: number, command: Send): Promise<Sent> {
  const thread = (threads[index] ??= startProducer(index));
  return await new Promise<Sent>((resolve) => {
    thread.once('message', resolve);
    thread.postMessage(command);
  });
}

function startProducer(index: number): Worker {
  const port = writer.port();
  const thread = new Worker(new URL('producer.ts', import.meta.url), {
    workerData: { port, index },
    transferList: [port],
    stdout: true,
  });
  thread.unref();
  return thread;
}
