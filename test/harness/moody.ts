import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What an endpoint does with one request; a number: it answers after so many milliseconds. */
export type Treatment = 'answer' | '503' | 'silent' | 'reset' | number;

/** One request that arrived. */
export interface Arrival {
  readonly atMs: number;
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
}

/** An endpoint whose mood changes: it answers, fails, hangs, or is gone, and notes what came and what was taken back. */
export class Moody {
  readonly arrivals: Arrival[] = [];
  /** Requests that were taken back before their answer: which, and when (performance.now). */
  readonly cancelled: Pick<Arrival, 'atMs' | 'target'>[] = [];
  /** Requests that have no answer yet, and the most there were at a time. */
  underWay = 0;
  underWayMax = 0;
  treat: () => Treatment;
  #server: Server | undefined;
  #port = 0;
  readonly #held = new Set<ServerResponse>();

  private constructor(treat: () => Treatment) {
    this.treat = treat;
  }

  static async start(treat: () => Treatment = () => 'answer'): Promise<Moody> {
    const moody = new Moody(treat);
    await moody.up();
    return moody;
  }

  /** As the annotation `heddle.dev/endpoints` wants it. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** How many requests came between two times (performance.now). */
  arrived(fromMs: number, toMs: number): number {
    return this.arrivals.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).length;
  }

  /** Listens on the port that it had before. */
  async up(): Promise<void> {
    const server = createServer((request, response) => this.#serve(request, response));
    server.keepAliveTimeout = 60_000;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      server.listen({ host: '127.0.0.1', port: this.#port, backlog: 2048 }, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** As a process that ended: its connections are closed, new ones are refused. */
  async down(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  /** Answers what it was silent about. */
  release(): void {
    for (const response of this.#held) answer(response, 200);
    this.#held.clear();
  }

  async stop(): Promise<void> {
    await this.down();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    this.arrivals.push({ atMs: performance.now(), method, target: url, headers });
    this.underWayMax = Math.max(this.underWayMax, ++this.underWay);
    request.resume();
    response.on('close', () => {
      this.underWay--;
      this.#held.delete(response);
      if (!response.writableEnded) this.cancelled.push({ atMs: performance.now(), target: url });
    });
    const treatment = this.treat();
    if (treatment === 'silent') this.#held.add(response);
    else if (treatment === 'reset') request.socket.resetAndDestroy();
    else if (treatment === 'answer') answer(response, 200);
    else if (treatment === '503') answer(response, 503);
    else setTimeout(() => answer(response, 200), treatment);
  }
}

/** Half of the requests, at random. */
export function halfOf(treatment: Treatment): () => Treatment {
  return () => (Math.random() < 0.5 ? treatment : 'answer');
}

function answer(response: ServerResponse, status: number): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': 2 });
  response.end('ok');
}
