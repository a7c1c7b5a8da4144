import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Asked {
  readonly method: string;
  readonly url: URL;
  /** What the JSON of the body means; undefined without one. */
  readonly body: unknown;
}

/** JSON of an answer with status 200, or what is to be done. */
export type ClusterAnswer = object | ((asked: Asked, response: ServerResponse) => void);

/** An API server that knows a few paths, with the kubeconfig of somebody who uses it; what it does not know is 404. */
export class FakeCluster {
  readonly asked: Asked[] = [];
  readonly url: string;
  readonly kubeconfig: string;
  readonly #server: Server;
  readonly #folder: string;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#folder = mkdtempSync(path.join(tmpdir(), 'heddle-cluster-'));
    this.kubeconfig = path.join(this.#folder, 'config');
    writeFileSync(this.kubeconfig, JSON.stringify(kubeconfigOf(this.url)));
  }

  static async start(answers: Readonly<Record<string, ClusterAnswer>>): Promise<FakeCluster> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const cluster = new FakeCluster(server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void cluster.#answer(answers, request, response);
    });
    return cluster;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#folder, { recursive: true });
  }

  async #answer(
    answers: Readonly<Record<string, ClusterAnswer>>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const text = (await request.setEncoding('utf8').toArray()).join('');
    const url = new URL(request.url!, this.url);
    const asked = { method: request.method!, url, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    this.asked.push(asked);
    const answer = answers[url.pathname] ?? refuse(404, `the server could not find ${url.pathname}`);
    if (typeof answer === 'function') answer(asked, response);
    else sendJson(response, 200, answer);
  }
}

/** A Status, as the API server refuses with one. */
export function refuse(code: number, message: string): ClusterAnswer {
  return (_asked, response) =>
    sendJson(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code });
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function kubeconfigOf(server: string): object {
  return {
    'apiVersion': 'v1',
    'kind': 'Config',
    'clusters': [{ name: 'fake', cluster: { server } }],
    'users': [{ name: 'ann', user: { token: 'secret' } }],
    'contexts': ['fake', 'other'].map((name) => ({ name, context: { cluster: 'fake', user: 'ann' } })),
    'current-context': 'fake',
  };
}
