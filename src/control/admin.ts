import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the probes tell. */
export interface Health {
  /** Why the node is not ready; undefined: it is. */
  readonly unready: string | undefined;
}

export interface ProbeServer {
  readonly port: number;
  close(): void;
}

const CONNECTIONS_MAX = 100;
const HEAD_TIMEOUT_MS = 5000;

/** Liveness and readiness for the kubelet. Rejects when the port cannot be had. */
export function openProbes(host: string, port: number, health: Health): Promise<ProbeServer> {
  const server: Server = createServer(
    { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: HEAD_TIMEOUT_MS },
    (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://probe');
      const [status, text] = answer(pathname, health);
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`${text}\n`);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      server.on('error', () => {});
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

function answer(path: string, { unready }: Health): readonly [status: number, text: string] {
  if (path === '/livez') return [200, 'ok'];
  if (path === '/readyz') return unready === undefined ? [200, 'ok'] : [503, unready];
  return [404, 'Expected /livez or /readyz'];
}
