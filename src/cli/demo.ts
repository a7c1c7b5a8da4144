import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { startNode } from './start.ts';

/** `heddle demo`, which `npm start` calls: a mesh on this machine, with two Services of its own. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('Try it: a mesh on this machine with Services of its own, until Ctrl-C')
    .addHelpText(
      'after',
      `\nStarts small HTTP servers and a mesh in front of them on port 4140, and prints requests to try.
HEDDLE_ variables apply as for heddle run, for example HEDDLE_MESH_LISTEN=127.0.0.1:8080.\n`,
    )
    .action(demo);
}

async function demo(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-demo-'));
  const servers = await Promise.all(['orders, copy 1', 'orders, copy 2', 'users'].map(serve));
  try {
    const [first = 0, second = 0, users = 0] = servers.map((server) => (server.address() as AddressInfo).port);
    writeFileSync(
      join(folder, 'shop.yaml'),
      `${manifest('orders', 'true', [first, second])}---\n${manifest('users', 'false', [users])}`,
    );
    await startNode('demo', {
      flags: new Map([['manifests', [folder]]]),
      env: { ...DEMO_ENVIRONMENT, ...process.env },
      onSettings: ({ meshListen }) => {
        process.stdout.write(guide(folder, `http://127.0.0.1:${meshListen?.port ?? 0}`));
      },
    });
  } finally {
    for (const server of servers) server.close().closeAllConnections();
    rmSync(folder, { recursive: true });
  }
}

/** The try-out stays on this machine, unless somebody says otherwise. */
const DEMO_ENVIRONMENT = {
  HEDDLE_MESH_LISTEN: '127.0.0.1:4140',
  HEDDLE_PROBE_LISTEN: 'off',
  HEDDLE_ADMIN_LISTEN: 'off',
  HEDDLE_DRAIN_ACCEPT: '0s',
};

function serve(name: string): Promise<Server> {
  const server = createServer((request, response) => {
    response.end(`${name} got ${request.method} ${request.url} from ${String(request.headers['x-forwarded-for'])}\n`);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(server);
    });
  });
}

function manifest(name: string, enabled: string, ports: readonly number[]): string {
  return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  annotations:
    heddle.dev/enabled: "${enabled}"
    heddle.dev/endpoints: "${ports.map((port) => `127.0.0.1:${port}`).join(',')}"
spec:
  ports:
    - port: 80
`;
}

function guide(folder: string, mesh: string): string {
  return `A mesh with two Services is starting; their manifests are in ${folder}.
Try, in another terminal:

  curl -H 'Host: orders.shop' ${mesh}/hello      Service orders in namespace shop: two copies take turns
  curl --proxy ${mesh} http://orders.shop/hello  the same through HTTP_PROXY
  curl -H 'Host: users.shop' ${mesh}/hello       a Service that did not opt in: the answer says how it would

Ctrl-C ends it.

`;
}
