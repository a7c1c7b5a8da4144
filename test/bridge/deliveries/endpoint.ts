import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A delivery as the Service saw it. */
export interface Seen {
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly atMs: number;
}

export type Handler = (seen: Seen, response: http.ServerResponse, index: number) => void;

/** A Service: a real HTTP server that answers deliveries as its test says. */
export class Endpoint {
  readonly seen: Seen[] = [];
  handler: Handler;
  readonly #server: http.Server;

  private constructor(handler: Handler) {
    this.handler = handler;
    this.#server = http.createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  static async start(handler: Handler = (_, response) => response.end()): Promise<Endpoint> {
    const endpoint = new Endpoint(handler);
    await new Promise<void>((resolve) => {
      endpoint.#server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    return endpoint;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get bodies(): readonly string[] {
    return this.seen.map(({ body }) => body);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const bytes = await buffer(request).catch(() => undefined);
    if (bytes === undefined) return;
    const { url = '', headers } = request;
    const seen = { path: url, headers, body: bytes.toString('latin1'), atMs: performance.now() };
    this.seen.push(seen);
    this.handler(seen, response, this.seen.length - 1);
  }
}

/** Answers with this status and nothing else. */
export function status(code: number, headers: http.OutgoingHttpHeaders = {}): Handler {
  return (_, response) => {
    response.writeHead(code, headers).end();
  };
}
