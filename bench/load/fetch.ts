import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Content, replyBody } from './shapes.ts';
import type { Running } from './stage.ts';

/** The authority of every request. Heddle finds the Service by it, the other proxies pass it on. */
export const HOST = 'web.bench';

/** One reply, read to its end. */
export interface Fetched {
  readonly status: number;
  /** Size of the reply head on the wire, give or take the spaces a server chooses. */
  readonly headBytes: number;
  readonly body: string;
}

const READY_WAIT_MS = 20_000;

/** One request over a connection of its own. */
export function fetchOnce(options: {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly requestBytes?: number;
}): Promise<Fetched> {
  const { port, path, method = 'GET', requestBytes = 0 } = options;
  const headers = requestBytes === 0 ? { host: HOST } : { 'host': HOST, 'content-length': requestBytes };
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false, timeout: 5000 }, (reply) => {
      const headBytes = reply.rawHeaders.reduce((sum, text) => sum + text.length + 2, 'HTTP/1.1 200 OK\r\n\r\n'.length);
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('error', reject);
      reply.on('end', () =>
        resolve({ status: reply.statusCode ?? 0, headBytes, body: Buffer.concat(chunks).toString() }),
      );
    });
    sent.on('timeout', () => sent.destroy(new Error('No reply within 5 s')));
    sent.on('error', reject);
    sent.end('x'.repeat(requestBytes));
  });
}

/** Asks for a content and compares each byte of the reply; gives the size of the reply head. */
export async function fetchChecked(port: number, content: Content): Promise<number> {
  const { status, body, headBytes } = await fetchOnce({ port, ...content });
  if (status !== 200 || body !== replyBody(content)) {
    const got = `status ${status} with ${body.length} bytes ${JSON.stringify(body.slice(0, 200))}`;
    throw new Error(`Expected status 200 with the ${content.replyBytes} bytes of ${content.path}, got ${got}`);
  }
  return headBytes;
}

/** Waits until a started program answers as it should; fails with what it printed. @param ask fails until then. */
export async function untilReady(name: string, running: Running, ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + READY_WAIT_MS;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (running.ended() || Date.now() > deadline) {
        const last = running.lastWords();
        throw new Error(
          `${name} did not become ready: ${(error as Error).message}${last === '' ? '' : `; it printed: ${last}`}`,
          { cause: error },
        );
      }
    }
    await sleep(100);
  }
}
