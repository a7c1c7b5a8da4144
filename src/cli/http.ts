import type { ClientRequest, IncomingMessage } from 'node:http';
import { shown } from '../lib/shown.ts';

export interface HttpAsk {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array | undefined;
  /** Within which the head of the answer has to be here. */
  readonly timeoutMs: number;
  /** Within which something of its body has to come, again and again; 0: that does not matter. Default: 0. */
  readonly silentMs?: number;
  readonly signal: AbortSignal;
}

/** Where to ask. @param text `http://HOST:PORT`. @param example for the error. Throws a TypeError for anything else. */
export function addressOf(text: string, example: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'http:' && url.pathname === '/' && url.search === '' && url.username === '') return url;
  throw new TypeError(`Expected an address such as ${example}, got ${shown(text)}`);
}

/** The answer from its head on. Rejects with what Node says: a TimeoutError, or an Error with the code of the system. */
export async function openAnswer(url: URL, ask: HttpAsk): Promise<IncomingMessage> {
  const { method, headers, body, timeoutMs, silentMs = 0, signal } = ask;
  // Loaded late: it takes longer than all the rest, and help needs none of it.
  const { request } = await import('node:http');
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request(
      url,
      { method, headers: { ...headers, ...length }, agent: false, signal },
      (response) => {
        outgoing.setTimeout(silentMs);
        resolve(response);
      },
    );
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new DOMException('No answer', 'TimeoutError')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** The whole body. Rejects with a RangeError where it is longer. */
export async function bodyOf(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) throw new RangeError(`an answer of at most ${bytesMax} bytes, got more`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
