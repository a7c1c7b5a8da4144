import http from 'node:http';

/** What became of one request. */
export interface Answer {
  /** When it was sent (performance.now). */
  readonly startMs: number;
  /** Until the end of its reply, or of its connection. */
  readonly tookMs: number;
  /** 0: there was no whole reply. */
  readonly status: number;
  /** What the mesh says is wrong (`x-heddle-failure`), or what became of the connection; empty: nothing. */
  readonly failure: string;
}

/** One request. */
export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly body?: string;
}

/** What is sent, and how often. */
export interface OpenLoadOptions {
  /** The authority. */
  readonly host: string;
  readonly perS: number;
  /** What is sent; default: GET of a path with the number of the request. */
  readonly request?: (number: number) => Sent;
}

const TURN_MS = 2;
/** What is sent in one turn: after a stall of this process what was due then is left out. */
const TURN_MAX = 25;
const WAIT_MS = 25_000;

/** So many requests a second, over kept-alive connections, whether or not those before were answered. */
export class OpenLoad {
  readonly answers: Answer[] = [];
  sent = 0;
  readonly #agent = new http.Agent({ keepAlive: true, maxFreeSockets: 256 });
  readonly #port: number;
  readonly #options: OpenLoadOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, options: OpenLoadOptions) {
    this.#port = port;
    this.#options = options;
    let last = performance.now();
    let due = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      due = Math.min(TURN_MAX, due + ((now - last) * options.perS) / 1000);
      last = now;
      for (; due >= 1; due--) this.#send();
    }, TURN_MS);
    // Of a test that failed nothing goes on.
    this.#timer.unref();
  }

  /** Begins no more; resolves when the last one has its answer. */
  async stop(): Promise<readonly Answer[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    this.#agent.destroy();
    return this.answers;
  }

  /** Those that were sent between two times. */
  between(fromMs: number, toMs: number): readonly Answer[] {
    return this.answers.filter(({ startMs }) => startMs >= fromMs && startMs < toMs);
  }

  #send(): void {
    const number = this.sent++;
    const exchange = this.#exchange(number).finally(() => this.#underWay.delete(exchange));
    this.#underWay.add(exchange);
  }

  async #exchange(number: number): Promise<void> {
    const startMs = performance.now();
    const { status, failure } = await ask(this.#agent, this.#port, this.#options, number);
    this.answers.push({ startMs, tookMs: performance.now() - startMs, status, failure });
  }
}

function ask(
  agent: http.Agent,
  port: number,
  { host, request = plainGet }: OpenLoadOptions,
  number: number,
): Promise<Pick<Answer, 'status' | 'failure'>> {
  const { method = 'GET', path, body = '' } = request(number);
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve({ status: 0, failure: error.code ?? error.message });
    const length = body === '' ? {} : { 'content-length': body.length };
    const sent = http.request(
      { agent, host: '127.0.0.1', port, method, path, headers: { host, ...length }, timeout: WAIT_MS },
      (reply) => {
        const failure = String(reply.headers['x-heddle-failure'] ?? '');
        reply.resume();
        reply.on('error', failed);
        reply.on('end', () => resolve({ status: reply.complete ? (reply.statusCode ?? 0) : 0, failure }));
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer')));
    sent.on('error', failed);
    sent.end(body);
  });
}

function plainGet(number: number): Sent {
  return { path: `/${number}` };
}

/** What was answered, and how often: `200: 99, 503 overload: 1`. */
export function tally(answers: readonly Answer[]): string {
  const counts = Map.groupBy(answers, ({ status, failure }) => `${status === 0 ? 'none' : status} ${failure}`.trim());
  return [...counts].map(([kind, { length }]) => `${kind}: ${length}`).join(', ');
}
