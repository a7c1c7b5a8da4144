import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { ENDPOINT_PORT, type Population } from './population.ts';

const CONNECTIONS = 50;
const UNDER_WAY_MAX = 1000;
const TICK_MS = 5;
const TIMEOUT_MS = 10_000;
const LATE_MS = 1000;

/** All endpoints in one: every address of their block leads to it. */
export class Endpoints {
  /** Requests that came to an endpoint which had been removed for more than a second. */
  late = 0;
  readonly #server: http.Server;

  private constructor(population: Population) {
    this.#server = http.createServer((request, response) => {
      if (population.removedForMs(request.socket.localAddress!) > LATE_MS) this.late++;
      response.end('ok');
    });
  }

  static async start(population: Population): Promise<Endpoints> {
    const endpoints = new Endpoints(population);
    endpoints.#server.listen(ENDPOINT_PORT, '0.0.0.0');
    await once(endpoints.#server, 'listening');
    return endpoints;
  }

  stop(): void {
    this.#server.close().closeAllConnections();
  }
}

/** Something that is done at a steady rate, whether or not what was begun before is over. */
export class Steadily {
  /** Begun; those that failed, with what the first one failed with; and not begun because too many were under way. */
  begun = 0;
  failed = 0;
  firstFailure = '';
  held = 0;
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(perSecond: number, work: (turn: number) => Promise<void>) {
    const startMs = performance.now();
    let turn = 0;
    this.#timer = setInterval(() => {
      for (const due = ((performance.now() - startMs) * perSecond) / 1000; turn < due; turn++) {
        if (this.#underWay.size >= UNDER_WAY_MAX) this.held++;
        else this.#begin(work(turn));
      }
    }, TICK_MS);
  }

  /** Begins no more; resolves when all that was begun is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  #begin(work: Promise<void>): void {
    this.begun++;
    const watched = work
      .catch((error: unknown) => {
        if (this.failed++ === 0) this.firstFailure = String(error);
      })
      .finally(() => this.#underWay.delete(watched));
    this.#underWay.add(watched);
  }
}

/** Asks a mesh for some Services in turns, over kept-alive connections. */
export class Requests {
  readonly #port: number;
  readonly #authorities: readonly string[];
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });

  constructor(port: number, authorities: readonly string[]) {
    this.#port = port;
    this.#authorities = authorities;
  }

  async ask(turn: number): Promise<void> {
    const host = this.#authorities[turn % this.#authorities.length]!;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const request = http.get({ host: '127.0.0.1', port: this.#port, agent: this.#agent, headers: { host }, signal });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const body = await text(response);
    if (response.statusCode !== 200 || body !== 'ok')
      throw new Error(`Expected 200 for ${host}, got ${response.statusCode} ${body}`);
  }

  stop(): void {
    this.#agent.destroy();
  }
}
