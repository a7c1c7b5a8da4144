import { once } from 'node:events';
import { connect as connectTo, type Socket } from 'node:net';
import type { NatsConnection } from '@nats-io/transport-node';
import { sleep } from '../../test/harness/client.ts';
import { spread } from '../load/results.ts';
import { BODY, SUBJECTS } from './shapes.ts';

/** At low load: one call of each kind, then this pause. */
const PAUSE_MS = 50;
const WARM_CALLS = 20;

/** Medians, in milliseconds, of calls by the bridge and of the same calls by the bare client. */
export interface Latency {
  readonly bridgeMs: number;
  readonly bareMs: number;
}

export type LatencyName = 'request' | 'server';

/** Calls by turns, 20 a second. Both ends are in this process: what it costs itself is in both figures. */
export async function latencies(
  connection: NatsConnection,
  port: number,
  seconds: number,
): Promise<Readonly<Record<LatencyName, Latency>>> {
  const socket = connectTo(port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  const publish = async (): Promise<void> => {
    connection.publish(SUBJECTS.plain, BODY);
    await connection.flush();
  };
  const request = (): Promise<unknown> => connection.request(SUBJECTS.echo, BODY);
  const all = {
    request: { bridge: callOf(socket, `/v1/request/${SUBJECTS.echo}`), bare: request },
    server: { bridge: callOf(socket, `/v1/publish/${SUBJECTS.plain}?ack=server`), bare: publish },
  };
  const took = {
    request: { bridge: [] as number[], bare: [] as number[] },
    server: { bridge: [] as number[], bare: [] as number[] },
  };
  const count = WARM_CALLS + (seconds * 1000) / PAUSE_MS;
  for (let index = 0; index < count; index++) {
    for (const name of ['request', 'server'] as const) {
      for (const who of ['bridge', 'bare'] as const) {
        const startMs = performance.now();
        await all[name][who]();
        if (index >= WARM_CALLS) took[name][who].push(performance.now() - startMs);
        await sleep(PAUSE_MS / 4);
      }
    }
  }
  socket.destroy();
  return { request: medians(took.request), server: medians(took.server) };
}

function medians({ bridge, bare }: { readonly bridge: readonly number[]; readonly bare: readonly number[] }): Latency {
  return { bridgeMs: spread(bridge).median, bareMs: spread(bare).median };
}

/** A call over a connection that stays: answered with its head and, at once, its body. */
function callOf(socket: Socket, path: string): () => Promise<void> {
  const call = `POST ${path} HTTP/1.1\r\nHost: nats.mesh\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
  return async () => {
    socket.write(call);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    if (!/^HTTP\/1\.1 20[02] /.test(bytes.toString('latin1', 0, 13)))
      throw new Error(`Expected a call that goes well, got ${bytes.toString()}`);
  };
}
