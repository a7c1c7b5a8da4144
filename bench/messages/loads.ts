import { once } from 'node:events';
import { connect as connectTo, type Socket } from 'node:net';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { setImmediate as turn } from 'node:timers/promises';
import { sleep } from '../../test/harness/client.ts';
import { runWrk } from '../load/wrk.ts';
import { BODY, CONCURRENCY, LINES, SUBJECTS, SUBSCRIBERS } from './shapes.ts';

// What puts load on the bridge, or on the bare client, and counts what was done. It runs beside them and is not measured.

const HOST = 'nats.mesh';
const LINES_IN_PIECE = LINES.match(/\n/g)!.length;
/** Messages that wait for their delivery are never more than twice as many. */
const BACKLOG = 1000;
/** A worker takes no more subscribers from one address. */
const SUBSCRIBERS_OF_ADDRESS = 50;
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const BRACE = '{'.charCodeAt(0);
const STALL_MS = 30_000;

/** One small call after the other on each connection. @returns how many. */
export async function calls(port: number, path: string, seconds: number): Promise<number> {
  const content = { path, method: 'POST' as const, requestBytes: BODY.length, replyBytes: 0, says: path };
  const shape = { name: path, says: path, connections: CONCURRENCY, keepAlive: true, content };
  const { requests, connectErrors, readErrors, writeErrors, timeouts, badStatus } = await runWrk({
    port,
    shape,
    seconds,
    host: HOST,
  });
  const errors = connectErrors + readErrors + writeErrors + timeouts + badStatus;
  if (errors > 0) throw new Error(`Expected ${requests} calls without errors, got ${errors} (${badStatus} by status)`);
  return requests;
}

/** One long call. @returns how many messages it brought, each of which was reported to be taken. */
export async function bulk(port: number, seconds: number): Promise<number> {
  const socket = connectTo(port, '127.0.0.1');
  await once(socket, 'connect');
  let reports = 0;
  let ended = false;
  socket.on('data', (bytes: Buffer) => {
    reports += objectsIn(bytes);
    if (bytes.includes('"code"')) socket.destroy(new Error(`Expected messages to be taken, got ${bytes.toString()}`));
    ended = bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
  });
  const head = `POST /v1/publish?ack=server HTTP/1.1\r\nHost: ${HOST}\r\nContent-Type: application/x-ndjson\r\n`;
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
  const piece = Buffer.from(`${LINES.length.toString(16)}\r\n${LINES}\r\n`);
  let sent = 0;
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    sent += LINES_IN_PIECE;
    if (!socket.write(piece)) await once(socket, 'drain');
  }
  socket.write(LAST_CHUNK);
  await until(() => ended, `${sent} reports`);
  socket.destroy();
  if (reports !== sent) throw new Error(`Expected ${sent} reports, got ${reports}`);
  return sent;
}

/** Messages for a consumer that somebody delivers from. @returns how many were delivered and acknowledged. */
export async function pushes(
  { connection, manager }: { readonly connection: NatsConnection; readonly manager: JetStreamManager },
  { stream, subject }: { readonly stream: string; readonly subject: string },
  seconds: number,
): Promise<number> {
  const [consumer] = await manager.consumers.list(stream).next();
  if (consumer === undefined) throw new Error(`Expected a consumer of ${stream}, got none`);
  const open = async (): Promise<number> => {
    const { num_pending, num_ack_pending } = await manager.consumers.info(stream, consumer.name);
    return num_pending + num_ack_pending;
  };
  const endMs = performance.now() + seconds * 1000;
  let count = 0;
  while (performance.now() < endMs) {
    for (let index = 0; index < BACKLOG; index++) connection.publish(subject, BODY);
    count += BACKLOG;
    await connection.flush();
    while ((await open()) > BACKLOG) await sleep(5);
  }
  const giveUpMs = performance.now() + STALL_MS;
  while ((await open()) > 0) {
    if (performance.now() > giveUpMs) throw new Error(`Expected ${count} acknowledgements, got fewer`);
    await sleep(5);
  }
  return count;
}

/** Events for all subscribers, so many at once when all have those before. @returns how many they got together. */
export async function events(
  connection: NatsConnection,
  { port, atOnce }: { readonly port: number; readonly atOnce: number },
  seconds: number,
): Promise<number> {
  const path = `/v1/subscribe?subject=${SUBJECTS.live}`;
  const subscribers = await Promise.all(
    Array.from({ length: SUBSCRIBERS }, (_, index) => Subscriber.connect(port, path, index)),
  );
  const endMs = performance.now() + seconds * 1000;
  let sent = 0;
  while (performance.now() < endMs) {
    for (let index = 0; index < atOnce; index++) connection.publish(SUBJECTS.live, BODY);
    sent += atOnce;
    await until(() => subscribers.every(({ count }) => count >= sent), `${sent} events`);
  }
  for (const subscriber of subscribers) subscriber.close();
  return sent * SUBSCRIBERS;
}

class Subscriber {
  /** Events so far. */
  count = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.count += objectsIn(bytes);
      if (bytes.includes('event: gap')) socket.destroy(new Error('Expected all events, got a gap'));
    });
  }

  static async connect(port: number, path: string, index: number): Promise<Subscriber> {
    const localAddress = `127.0.0.${2 + Math.floor(index / SUBSCRIBERS_OF_ADDRESS)}`;
    const socket = connectTo({ port, host: '127.0.0.1', localAddress });
    await once(socket, 'connect');
    const subscriber = new Subscriber(socket);
    const begun = once(socket, 'data');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    const [head] = (await begun) as [Buffer];
    if (!head.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(`Expected 200, got ${head.toString()}`);
    return subscriber;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Each event, and each report, has one object, and nothing else here has braces. */
function objectsIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(BRACE); at >= 0; at = bytes.indexOf(BRACE, at + 1)) count++;
  return count;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + STALL_MS;
  while (!holds()) {
    if (performance.now() > giveUpMs) throw new Error(`Expected ${what}, got fewer in ${STALL_MS} ms`);
    await turn();
  }
}
