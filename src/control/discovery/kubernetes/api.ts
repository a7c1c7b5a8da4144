import { shown } from '../../../lib/shown.ts';
import type { Access } from './access.ts';
import { Connections, CONNECTION_TIMINGS, type ConnectionTimings, type Protocol } from './connections.ts';

/** One API server, as the command line asks it. Nothing throws into the event loop; every answer has limits. */
export interface ClusterApi {
  /** `https://10.96.0.1:443`. */
  readonly server: string;
  /**
   * One exchange. Rejects where there is no whole answer; a refusal is an answer.
   * @param path with its query
   * @returns what the JSON of the body (at most 16 MiB) means, or its text where it is none
   */
  request(path: string, options?: RequestOptions): Promise<ApiAnswer>;
  /** The same for answers of any length. */
  stream(path: string, options: { readonly signal: AbortSignal }): Promise<ApiStream>;
  /** Ends what is under way; it is asked nothing more. */
  close(): void;
}

export interface RequestOptions {
  /** GET, unless there is a body: then POST. */
  readonly method?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** To the end of the answer; 30 s. */
  readonly timeoutMs?: number;
}

export interface ApiAnswer {
  readonly status: number;
  /** When the server wishes to be asked again. */
  readonly retryAfterMs?: number | undefined;
  readonly body: unknown;
}

export interface ApiStream {
  readonly status: number;
  readonly retryAfterMs?: number | undefined;
  /** To be read to its end, or left by ending the loop over it. Throws where it is cut off. */
  readonly chunks: AsyncIterable<Buffer>;
}

const BODY_BYTES_MAX = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** A server that asks for longer is asked again all the same. */
const RETRY_AFTER_MAX_S = 30;
const MESSAGE_LENGTH_MAX = 300;

/** The server answered, and its answer is no. */
export class Refusal extends Error {
  /** The HTTP status, or the code of a Status within a stream. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  /** @param body a Status object (meta/v1), or what else was answered. */
  constructor({ status, retryAfterMs, body }: ApiAnswer) {
    const { message } = (typeof body === 'object' ? (body ?? {}) : {}) as { message?: unknown };
    const reason = typeof message === 'string' ? message : body;
    super(`The API server answered ${status}: ${shown(reason).slice(0, MESSAGE_LENGTH_MAX)}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export class ApiClient implements ClusterApi {
  readonly server: string;
  readonly #access: Access;
  readonly #connections: Connections;

  constructor(access: Access, timings: ConnectionTimings = CONNECTION_TIMINGS) {
    this.server = access.server.origin;
    this.#access = access;
    this.#connections = new Connections(access, timings);
  }

  /** Connects if need be. With `h2` a dead connection is found without traffic of ours. */
  protocol(): Promise<Protocol> {
    return this.#connections.protocol();
  }

  async request(path: string, options: RequestOptions = {}): Promise<ApiAnswer> {
    const { signal, timeoutMs = TIMEOUT_MS } = options;
    const abort = new AbortController();
    const follow = (): void => {
      abort.abort(signal?.reason);
    };
    if (signal?.aborted === true) follow();
    signal?.addEventListener('abort', follow, { once: true });
    const timer = setTimeout(() => {
      abort.abort(new Error(`No whole answer in ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      const { status, retryAfterMs, chunks } = await this.#send(path, options, abort.signal);
      return { status, retryAfterMs, body: meaningOf(await bytesOf(chunks)) };
    } catch (error) {
      throw abort.signal.aborted ? abort.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', follow);
    }
  }

  async stream(path: string, { signal }: { readonly signal: AbortSignal }): Promise<ApiStream> {
    return this.#send(path, {}, signal);
  }

  close(): void {
    this.#connections.close();
    this.#access.close();
  }

  /** With credentials that were refused, once more with those that are there now: a token may just have ended. */
  async #send(path: string, { body, method }: RequestOptions, signal: AbortSignal): Promise<ApiStream> {
    const sent = {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      path: `${this.#access.server.pathname.replace(/\/$/, '')}${path}`,
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      signal,
    };
    const credentials = await this.#access.credentials();
    let answer = await this.#connections.send(sent, credentials);
    if (answer.status === 401) {
      answer.body.destroy();
      this.#access.refused(credentials);
      answer = await this.#connections.send(sent, await this.#access.credentials());
    }
    return { status: answer.status, retryAfterMs: waitOf(answer.retryAfter), chunks: answer.body };
  }
}

/** Rejects beyond 16 MiB. */
export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`Expected an answer of at most ${BODY_BYTES_MAX} bytes, got more`);
    pieces.push(chunk);
  }
  return Buffer.concat(pieces);
}

/** Of a whole body: JSON, or text. */
export function meaningOf(bytes: Buffer): unknown {
  const text = bytes.toString();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function waitOf(retryAfter: string | undefined): number | undefined {
  // Servers of Kubernetes write seconds, never a date (RFC 9110, 10.2.3, allows both).
  if (retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return undefined;
  return 1000 * Math.min(Number(retryAfter), RETRY_AFTER_MAX_S);
}
