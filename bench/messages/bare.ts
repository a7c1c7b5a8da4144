import { once } from 'node:events';
import { Agent, createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AckPolicy, jetstream, jetstreamManager, type JsMsg } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { BODY, CONCURRENCY, LINES, type OwnShape, SUBJECTS } from './shapes.ts';

// The bare client, in a process of its own: does what the bridge does, as one would write it by hand without one.

/** What it is told to do; answered by `BareAnswer` when it is done. */
export type BareOrder =
  | { readonly do: 'work'; readonly shape: OwnShape; readonly seconds: number }
  /** Go on until the process ends; answered when they have begun. */
  | { readonly do: 'echo' }
  | { readonly do: 'push'; readonly port: number }
  | { readonly do: 'sse' };

export interface BareAnswer {
  /** Of messages. */
  readonly count: number;
  /** Where subscribers may come. */
  readonly port: number;
}

const CONSUMER = 'bare';
const FLUSH_EACH = 1000;
const MANY_LINES = LINES.repeat(FLUSH_EACH / 100).trimEnd();
const DONE = { count: 0, port: 0 };

async function main(url: string): Promise<void> {
  const connection = await connect({ servers: url });
  process.on('disconnect', () => process.exit());
  process.on('message', (order: BareOrder) => {
    void obey(connection, order).then((answer) => process.send?.(answer));
  });
  process.send?.(DONE);
}

async function obey(connection: NatsConnection, order: BareOrder): Promise<BareAnswer> {
  switch (order.do) {
    case 'echo':
      connection.subscribe(SUBJECTS.echo, {
        callback: (_, message) => {
          message.respond(message.data);
        },
      });
      await connection.flush();
      break;
    case 'push':
      await push(connection, order.port);
      break;
    case 'sse':
      return { ...DONE, port: await fanOut(connection) };
    case 'work':
      return { ...DONE, count: await WORK[order.shape](connection, performance.now() + order.seconds * 1000) };
  }
  return DONE;
}

/** Each kind of work until a time; gives how many messages it was. */
const WORK: Readonly<Record<OwnShape, (connection: NatsConnection, endMs: number) => Promise<number>>> = {
  none: (connection, endMs) =>
    bulk(connection, endMs, () => {
      for (let index = 0; index < FLUSH_EACH; index++) connection.publish(SUBJECTS.plain, BODY);
    }),
  ndjson: (connection, endMs) =>
    bulk(connection, endMs, () => {
      for (const line of MANY_LINES.split('\n')) {
        const { subject, data } = JSON.parse(line) as { readonly subject: string; readonly data: string };
        connection.publish(subject, data);
      }
    }),
  server: (connection, endMs) =>
    many(endMs, () => {
      connection.publish(SUBJECTS.plain, BODY);
      return connection.flush();
    }),
  stream: (connection, endMs) => {
    const client = jetstream(connection);
    return many(endMs, () => client.publish(SUBJECTS.stored, BODY));
  },
  request: (connection, endMs) => many(endMs, () => connection.request(SUBJECTS.echo, BODY)),
};

async function bulk(connection: NatsConnection, endMs: number, publishSome: () => void): Promise<number> {
  let count = 0;
  while (performance.now() < endMs) {
    publishSome();
    count += FLUSH_EACH;
    await connection.flush();
  }
  return count;
}

/** One call after the other, so many at a time. */
async function many(endMs: number, call: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await call();
      count++;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  return count;
}

async function push(connection: NatsConnection, port: number): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.consumers.add('PUSHED-BARE', {
    durable_name: CONSUMER,
    ack_policy: AckPolicy.Explicit,
    // So many requests at a time.
    max_ack_pending: CONCURRENCY,
  });
  const consumer = await jetstream(connection).consumers.get('PUSHED-BARE', CONSUMER);
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const messages = await consumer.consume({ max_messages: CONCURRENCY });
  void deliver(messages, agent, port);
}

async function deliver(messages: AsyncIterable<JsMsg>, agent: Agent, port: number): Promise<void> {
  for await (const message of messages) {
    const length = { 'content-length': message.data.length };
    const sent = request({ host: '127.0.0.1', port, method: 'POST', agent, headers: length }, (reply) => {
      reply.resume();
      reply.on('end', () => {
        if (reply.statusCode === 204) message.ack();
      });
    });
    sent.end(message.data);
  }
}

/** @returns the port of a server whose replies are events. */
async function fanOut(connection: NatsConnection): Promise<number> {
  const replies = new Set<ServerResponse>();
  connection.subscribe(SUBJECTS.live, {
    callback: (_, message) => {
      const event = Buffer.from(
        `event: message\ndata: ${JSON.stringify({ subject: message.subject, data: message.string() })}\n\n`,
      );
      for (const reply of replies) reply.write(event);
    },
  });
  await connection.flush();
  const server = createServer((_, reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.flushHeaders();
    replies.add(reply);
    reply.on('close', () => replies.delete(reply));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

await main(process.argv[2]!);
