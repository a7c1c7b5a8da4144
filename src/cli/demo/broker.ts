import { createServer, type AddressInfo, type Server } from 'node:net';
import { Client } from './broker/client.ts';
import { Router } from './broker/router.ts';

/**
 * The broker of the try-out: the core of NATS (subjects, wildcards, queue groups, requests, headers) on loopback, so that the
 * bridge has somebody to talk to on a machine without a NATS server. It keeps nothing: there is no JetStream, and INFO says so.
 * Any client of NATS can connect.
 */
export interface DemoBroker {
  readonly port: number;
  /** Cuts everything. */
  close(): Promise<void>;
}

const CLIENTS_MAX = 256;

/** On a port of loopback that the system chooses. */
export async function startBroker(): Promise<DemoBroker> {
  const router = new Router();
  const clients = new Set<Client>();
  const server = createServer({ noDelay: true }, (socket) => {
    if (clients.size >= CLIENTS_MAX) {
      socket.destroy();
      return;
    }
    const client = new Client(socket, router);
    clients.add(client);
    socket.on('close', () => clients.delete(client));
    client.greet();
  });
  await listening(server);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        for (const client of clients) client.cut();
      }),
  };
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
}
