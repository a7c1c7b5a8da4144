import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Access, Credentials } from './access.ts';

export type Protocol = 'h2' | 'http/1.1';

export interface ConnectionTimings {
  /** TCP and TLS together. */
  readonly connectMs: number;
  /** A session is asked so often whether it lives, and has so long for its answer. */
  readonly pingMs: number;
  readonly pingAnswerMs: number;
}

export const CONNECTION_TIMINGS: ConnectionTimings = { connectMs: 10_000, pingMs: 15_000, pingAnswerMs: 10_000 };

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer | undefined;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** The header Retry-After, as seconds are written in it. */
  readonly retryAfter: string | undefined;
  /** Ends with an error where it is cut off. */
  readonly body: Readable;
}

type Link =
  | { readonly protocol: 'h2'; readonly session: ClientHttp2Session }
  | { readonly protocol: 'http/1.1'; readonly agent: HttpAgent };

/** On its way to us at any time: the 64 KiB of HTTP/2 would make a distant server slow. */
const WINDOW_BYTES = 1024 * 1024;
/** Idle connections of HTTP/1.1, where each watch has one of its own. */
const SOCKETS_MAX = 32;

/**
 * The connections to one API server: one session of HTTP/2 for all requests where the server offers that, else connections of
 * HTTP/1.1 that are kept alive. Made when they are needed, and made anew after they died.
 */
export class Connections {
  readonly #access: Access;
  readonly #timings: ConnectionTimings;
  readonly #closed = new AbortController();
  #link: Promise<Link> | undefined = undefined;

  constructor(access: Access, timings = CONNECTION_TIMINGS) {
    this.#access = access;
    this.#timings = timings;
  }

  /** Connects if need be. Rejects when there is no connection. */
  async protocol(): Promise<Protocol> {
    return (await this.#linked()).protocol;
  }

  /** Resolves with the head of the answer. */
  async send(sent: Sent, credentials: Credentials): Promise<Answer> {
    const link = await this.#linked();
    const headers: Record<string, string> = {
      'accept': 'application/json',
      'user-agent': 'heddle',
      ...credentials.headers,
    };
    if (sent.body !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(sent.body.length);
    }
    if (link.protocol === 'h2') return sendOnSession(link.session, this.#access.server, sent, headers);
    const { hostname, port, protocol } = this.#access.server;
    const { method, path, signal } = sent;
    const host = hostname.replace(/^\[|\]$/g, '');
    const options = { ...credentials.tls, agent: link.agent, host, port, method, path, headers, signal };
    const request = protocol === 'http:' ? httpRequest(options) : httpsRequest(options);
    request.once('error', () => {
      this.#distrusted(request.socket, credentials);
    });
    return sendAlone(request, sent.body);
  }

  /** A server that cannot be verified may have its certificate from an authority that has just replaced ours. */
  #distrusted(socket: Socket | null, credentials: Credentials): void {
    // Node leaves null and undefined there where nothing is wrong, whatever its types say.
    const { authorizationError } = (socket ?? {}) as Partial<TLSSocket>;
    if (authorizationError && credentials.tls.rejectUnauthorized !== false) this.#access.refused(credentials);
  }

  /** Ends all that is under way. */
  close(): void {
    this.#closed.abort(new Error('The connection was closed'));
  }

  async #linked(): Promise<Link> {
    this.#closed.signal.throwIfAborted();
    if (this.#link !== undefined) return this.#link;
    const link = this.#connect();
    this.#link = link;
    link.catch(() => {
      this.#forget(link);
    });
    const linked = await link;
    if (linked.protocol === 'h2') {
      const forget = (): void => {
        this.#forget(link);
      };
      // RFC 9113, 6.8: what is under way may end; new requests go elsewhere.
      linked.session.once('goaway', forget).once('close', forget);
      if (linked.session.closed) forget();
    }
    return linked;
  }

  #forget(link: Promise<Link>): void {
    if (this.#link === link) this.#link = undefined;
  }

  async #connect(): Promise<Link> {
    const { server } = this.#access;
    const options = { keepAlive: true, keepAliveMsecs: this.#timings.pingMs, maxSockets: SOCKETS_MAX };
    if (server.protocol === 'http:') return this.#alone(new HttpAgent(options));
    const socket = await this.#connectTls();
    if (socket.alpnProtocol === 'h2') return this.#session(socket);
    // Asked once: a server that learns HTTP/2 later goes on with HTTP/1.1.
    socket.destroy();
    return this.#alone(new HttpsAgent(options));
  }

  #alone(agent: HttpAgent): Link {
    this.#closed.signal.addEventListener('abort', () => {
      agent.destroy();
    });
    return { protocol: 'http/1.1', agent };
  }

  async #connectTls(): Promise<TLSSocket> {
    const { hostname, port } = this.#access.server;
    const credentials = await this.#access.credentials();
    this.#closed.signal.throwIfAborted();
    const { connectMs, pingMs } = this.#timings;
    const socket = connectTls({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 443 : Number(port),
      ALPNProtocols: ['h2', 'http/1.1'],
      ...credentials.tls,
    });
    socket.setNoDelay(true).setKeepAlive(true, pingMs);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#distrusted(socket, credentials);
        socket.destroy();
        reject(error);
      };
      const onClosed = (): void => {
        fail(this.#closed.signal.reason as Error);
      };
      const timer = setTimeout(fail, connectMs, new Error(`No connection in ${connectMs} ms`));
      this.#closed.signal.addEventListener('abort', onClosed, { once: true });
      socket.once('secureConnect', () => {
        resolve(socket);
      });
      // It stays: whatever happens to the socket later must not end the process.
      socket.on('error', fail);
      const settled = (): void => {
        clearTimeout(timer);
        this.#closed.signal.removeEventListener('abort', onClosed);
      };
      socket.once('secureConnect', settled).once('close', settled);
      socket.once('close', () => {
        fail(new Error('The connection was closed before it was there'));
      });
    });
  }

  async #session(socket: TLSSocket): Promise<Link> {
    // Loaded late: servers without it need none of it.
    const { connect } = await import('node:http2');
    const session = connect(this.#access.server.origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    });
    session.once('connect', () => {
      session.setLocalWindowSize(WINDOW_BYTES);
    });
    const { pingMs, pingAnswerMs } = this.#timings;
    let answer: NodeJS.Timeout | undefined;
    const end = (error: Error): void => {
      session.destroy(error);
      // A session that was closed already waits for the other side, which may be gone.
      socket.destroy();
    };
    const ping = setInterval(() => {
      // A session on its way out takes no more of them, but may never get there.
      answer ??= setTimeout(end, pingAnswerMs, new Error(`No answer to a PING in ${pingAnswerMs} ms`));
      if (session.destroyed) return;
      session.ping((error) => {
        if (error !== null) return;
        clearTimeout(answer);
        answer = undefined;
      });
    }, pingMs);
    const onClosed = (): void => {
      end(this.#closed.signal.reason as Error);
    };
    this.#closed.signal.addEventListener('abort', onClosed, { once: true });
    session.on('error', () => {
      // Its streams and its end tell it.
    });
    socket.once('close', () => {
      clearInterval(ping);
      clearTimeout(answer);
      this.#closed.signal.removeEventListener('abort', onClosed);
    });
    if (this.#closed.signal.aborted) onClosed();
    return { protocol: 'h2', session };
  }
}

function sendOnSession(
  session: ClientHttp2Session,
  server: URL,
  { method, path, body, signal }: Sent,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ':method': method, ':path': path, ':authority': server.host, ...headers },
      { endStream: body === undefined, signal },
    );
    stream.on('error', reject);
    stream.once('close', () => {
      reject(new Error('The server ended the request without an answer'));
    });
    stream.once('response', (head) => {
      resolve({ status: head[':status'] ?? 0, retryAfter: head['retry-after'], body: stream });
    });
    if (body !== undefined) stream.end(body);
  });
}

function sendAlone(request: ClientRequest, body: Buffer | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', (response: IncomingMessage) => {
      // Who reads the body is told as well; nobody may read it.
      response.on('error', () => undefined);
      resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: response });
    });
    request.end(body);
  });
}
