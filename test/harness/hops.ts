import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServiceSpec } from './mesh.ts';
import { Moody } from './moody.ts';

/** A chain of Services, each of which asks the next one through the mesh, with the headers that it should hand on; the last one is silent. */
export class Hops {
  readonly last: Moody;
  /** What each of the others was asked with, in the order of the chain. */
  readonly heads: IncomingHttpHeaders[][];
  /** When a request was taken back from the first one, by its target (performance.now). */
  readonly firstCancelledMs = new Map<string, number>();
  readonly #servers: readonly Server[];
  #meshPort = 0;

  private constructor(last: Moody, count: number) {
    this.last = last;
    this.heads = Array.from({ length: count - 1 }, () => []);
    this.#servers = this.heads.map((heads, index) => this.#hop(heads, `hop${index + 1}.test`));
  }

  static async start(count: number): Promise<Hops> {
    const hops = new Hops(await Moody.start(() => 'silent'), count);
    await Promise.all(
      hops.#servers.map((server) => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))),
    );
    return hops;
  }

  /** The first one is `hop0`. */
  get services(): ServiceSpec[] {
    const ports = this.#servers.map((server) => (server.address() as AddressInfo).port);
    const addresses = [...ports.map((port) => `127.0.0.1:${port}`), this.last.address];
    return addresses.map((address, index) => ({ name: `hop${index}`, endpoints: [address] }));
  }

  /** Where they find each other. */
  through(meshPort: number): void {
    this.#meshPort = meshPort;
  }

  async stop(): Promise<void> {
    await this.last.stop();
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    }
  }

  #hop(heads: IncomingHttpHeaders[], next: string): Server {
    const server = createServer((asked, response) => {
      heads.push(asked.headers);
      const left = asked.headers['x-heddle-timeout-ms'];
      const handed = left === undefined ? {} : { 'x-heddle-timeout-ms': left };
      const asking = request(
        { host: '127.0.0.1', port: this.#meshPort, path: asked.url, headers: { host: next, ...handed }, agent: false },
        (reply) => {
          response.writeHead(reply.statusCode ?? 500);
          reply.pipe(response);
        },
      );
      asking.on('error', () => response.destroy());
      response.on('close', () => {
        if (heads === this.heads[0] && !response.writableEnded)
          this.firstCancelledMs.set(asked.url ?? '', performance.now());
        asking.destroy();
      });
      asking.end();
    });
    server.keepAliveTimeout = 60_000;
    return server;
  }
}
