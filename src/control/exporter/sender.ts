import type { Agent, ClientRequest, IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { quoted } from '../../lib/shown.ts';

/** What became of one request to the receiver. */
export type Outcome =
  /** `message`: what the receiver has to say about it, mostly nothing. */
  | { readonly type: 'accepted'; readonly rejected: number; readonly message: string }
  /** An answer that is no success. */
  | { readonly type: 'refused'; readonly text: string; readonly retry: boolean; readonly retryAfterMs: number }
  /** No answer; how far it came. */
  | { readonly type: 'unreachable'; readonly stage: Stage; readonly text: string };

export type Stage = 'name' | 'connect' | 'tls' | 'answer' | 'timeout';

/** OTLP 1.9, "Retryable Response Codes"; all others mean that the same request would fail again. */
const RETRY = new Set([429, 502, 503, 504]);
const BODY_BYTES_MAX = 64 * 1024;
const SHOWN_LENGTH = 200;
/** The port of OTLP over gRPC, which is what people mix up. */
const GRPC_PORT = '4317';

interface Client {
  readonly request: typeof httpRequest;
  readonly agent: Agent;
}

/**
 * One connection to an OTLP receiver over HTTP. `node:http` rather than fetch: 17 MB less when it is the first to be loaded, and
 * nothing where the admin side has loaded it.
 */
export class Sender {
  readonly #url: URL;
  readonly #userAgent: string;
  readonly #timeoutMs: number;
  #client: Client | undefined = undefined;

  constructor({ url, userAgent, timeoutMs }: { url: URL; userAgent: string; timeoutMs: number }) {
    this.#url = url;
    this.#userAgent = userAgent;
    this.#timeoutMs = timeoutMs;
  }

  /** Sends one body. Never rejects. */
  async post(body: Buffer, encoding: 'gzip' | undefined, cancelled: AbortSignal): Promise<Outcome> {
    this.#client ??= await load(this.#url);
    const { request, agent } = this.#client;
    const outgoing = request(this.#url, {
      method: 'POST',
      agent,
      signal: cancelled,
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        'user-agent': this.#userAgent,
        ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
      },
    });
    const outcome = this.#outcome(outgoing, cancelled);
    outgoing.end(body);
    return outcome;
  }

  close(): void {
    this.#client?.agent.destroy();
  }

  #outcome(outgoing: ClientRequest, cancelled: AbortSignal): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const progress = follow(outgoing, this.#url.protocol === 'https:');
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      outgoing.destroy();
    }, this.#timeoutMs);
    outgoing.on('response', (response) => {
      readBody(response, (text) => resolve(judge(response, text, this.#url)));
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const { stage } = progress;
      if (late || cancelled.aborted)
        resolve({ type: 'unreachable', stage: 'timeout', text: this.#lateText(stage, late) });
      else if (error.syscall === 'getaddrinfo')
        resolve({ type: 'unreachable', stage: 'name', text: nameText(error, this.#url) });
      else resolve({ type: 'unreachable', stage, text: failureText(error, stage, this.#url) });
    });
    return promise.finally(() => clearTimeout(timer));
  }

  /** @param late else the process ends before that. */
  #lateText(stage: Stage, late: boolean): string {
    const { host } = this.#url;
    const limit = late ? `within ${this.#timeoutMs} ms` : 'before the process ended';
    if (stage === 'connect') return `No connection to ${host} ${limit}`;
    if (stage === 'tls') return `Connected to ${host}, but the TLS handshake did not end ${limit}`;
    return `Connected to ${host}, but no answer came ${limit}`;
  }
}

async function load(url: URL): Promise<Client> {
  if (url.protocol !== 'https:') {
    const { request, Agent } = await import('node:http');
    return { request, agent: new Agent({ keepAlive: true, maxSockets: 1 }) };
  }
  const { request, Agent } = await import('node:https');
  const { getCACertificates } = await import('node:tls');
  // Node's own list and NODE_EXTRA_CA_CERTS, and the machine's: a receiver of the house is mostly signed by the house.
  const ca = [...getCACertificates('default'), ...getCACertificates('system')];
  return { request, agent: new Agent({ keepAlive: true, maxSockets: 1, ca }) };
}

/** How far a request has come, kept up to date. */
function follow(outgoing: ClientRequest, secure: boolean): { stage: Stage } {
  const progress: { stage: Stage } = { stage: 'connect' };
  outgoing.on('socket', (socket: Socket) => {
    if (!socket.connecting) {
      progress.stage = 'answer'; // kept alive
      return;
    }
    socket.once('connect', () => (progress.stage = secure ? 'tls' : 'answer'));
    socket.once('secureConnect', () => (progress.stage = 'answer'));
  });
  return progress;
}

function readBody(response: IncomingMessage, done: (text: string) => void): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  response.on('data', (piece: Buffer) => {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) response.destroy();
  });
  response.on('error', () => {});
  // However it ends, the status is known, and what it says holds.
  response.on('close', () => done(Buffer.concat(pieces).toString('utf8', 0, BODY_BYTES_MAX)));
}

function judge(response: IncomingMessage, body: string, { host, pathname }: URL): Outcome {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return { type: 'accepted', ...partialSuccess(body) };
  const { location } = response.headers;
  const moved =
    status >= 300 && status < 400 && location !== undefined ? `, to ${cut(location)}, which is not followed` : '';
  const said = body === '' ? '' : `: ${cut(body)}`;
  return {
    type: 'refused',
    text: `${host} answered ${status} to POST ${pathname}${moved}${said}`,
    retry: RETRY.has(status),
    retryAfterMs: retryAfterMs(response.headers['retry-after']),
  };
}

/** RFC 9110 section 10.2.3: seconds, or a date. 0 when there is none that makes sense. */
function retryAfterMs(value: string | undefined): number {
  if (value === undefined) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : 0;
}

/** A success may say that part of it was thrown away. What cannot be understood counts as a whole success. */
function partialSuccess(body: string): { rejected: number; message: string } {
  try {
    const { partialSuccess: partial } = JSON.parse(body) as { partialSuccess?: Record<string, unknown> };
    const rejected = Number(partial?.['rejectedSpans'] ?? 0);
    const message = partial?.['errorMessage'];
    return {
      rejected: Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0,
      message: typeof message === 'string' && message !== '' ? cut(message) : '',
    };
  } catch {
    return { rejected: 0, message: '' };
  }
}

function nameText(error: NodeJS.ErrnoException, { hostname }: URL): string {
  return `The name ${hostname} was not resolved (${error.code})`;
}

function failureText(error: NodeJS.ErrnoException, stage: Stage, { host, port }: URL): string {
  const code = error.code ?? error.name;
  if (stage === 'connect') return `No connection to ${host} (${code})`;
  if (stage === 'tls') return `Connected to ${host}, but TLS failed (${code}): ${cut(error.message)}`;
  const hint = port === GRPC_PORT ? '; 4317 is the port of OTLP over gRPC, and HTTP mostly has 4318' : '';
  return `Connected to ${host}, but it gave no HTTP answer (${code})${hint}`;
}

function cut(text: string): string {
  return quoted(text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text);
}
