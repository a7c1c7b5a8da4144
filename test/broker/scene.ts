import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { BridgeAnswer } from '../../src/model/admin.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { ask } from '../harness/telemetry.ts';

/** Far more than anything here takes on a machine that has other work. */
export const WAIT_MS = 30_000;

export interface NodeOptions {
  readonly broker: Broker;
  /** Kubernetes objects, as a user would write them into one file. */
  readonly objects?: readonly object[];
  readonly name?: string;
  readonly flags?: readonly string[];
  readonly workers?: number;
}

/** A policy for whoever comes from loopback. */
export function policy(spec: object): object {
  return {
    apiVersion: 'heddle.dev/v1alpha1',
    kind: 'NatsPolicy',
    metadata: { name: 'everybody' },
    spec: { from: [{}], ...spec },
  };
}

/** An enabled Service of namespace `shop`. */
export function service(name: string, annotations: Readonly<Record<string, string>>): object {
  const metadata = { name, namespace: 'shop', annotations: { 'heddle.dev/enabled': 'true', ...annotations } };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } };
}

/** A file with this text, gone with the test. */
export function fileWith(t: TestContext, text: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'file');
  writeFileSync(file, text);
  return file;
}

/** Signs acknowledgements. */
export function tokenKeyFlag(t: TestContext): string {
  return `--bridge-token-key-file=${fileWith(t, '0123456789abcdef0123456789abcdef')}`;
}

/** A broker that ends with the test. */
export async function brokerFor(t: TestContext, options: BrokerOptions = { jetstream: true }): Promise<Broker> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  return broker;
}

/** `heddle run` on a broker, with a folder of manifests that the test may write anew. */
export class BridgeNode {
  readonly mesh: Mesh;
  readonly #manifests: string;

  private constructor(mesh: Mesh, manifests: string) {
    this.mesh = mesh;
    this.#manifests = manifests;
  }

  /** Resolves when its links are up. It ends with the test: politely, unless the test ended it. */
  static async start(
    t: TestContext,
    { broker, objects = [], name, flags = [], workers = 2 }: NodeOptions,
  ): Promise<BridgeNode> {
    const manifests = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
    t.after(() => rmSync(manifests, { recursive: true, force: true }));
    writeObjects(manifests, objects);
    const own = ['--admin-listen=127.0.0.1:0', '--bridge-listen=127.0.0.1:0', `--nats-url=${broker.url}`];
    const mesh = await Mesh.start({
      services: [],
      discovery: ['--discovery=files', '--manifests', manifests],
      flags: [...own, ...(name === undefined ? [] : [`--node-name=${name}`]), ...flags],
      workers,
    });
    t.after(async () => {
      if (mesh.alive) await mesh.stop();
    });
    const node = new BridgeNode(mesh, manifests);
    await node.links('up');
    return node;
  }

  get port(): number {
    return this.mesh.bridgePort;
  }

  /** In place of the objects before. */
  write(objects: readonly object[]): void {
    writeObjects(this.#manifests, objects);
  }

  /** Waits until every link is in this state. */
  async links(state: BridgeAnswer['links'][number]['state'], waitMs = WAIT_MS): Promise<void> {
    await until(
      `links that are ${state}`,
      async () => {
        const { links } = await ask<BridgeAnswer>(this.mesh, '/bridge');
        return links.length > 0 && links.every((link) => link.state === state);
      },
      waitMs,
    );
  }

  call(method: string, target: string, options: CallOptions = {}): Promise<Answer> {
    return call(this.port, method, target, options);
  }
}

function writeObjects(folder: string, objects: readonly object[]): void {
  // Several documents in one file, each of them JSON, which is YAML too; renamed, so that it is read whole.
  const file = path.join(folder, 'objects.yaml');
  writeFileSync(`${file}.new`, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  renameSync(`${file}.new`, file);
}

/** As `eventually`, for what has to be asked for. */
export async function until(what: string, holds: () => Promise<boolean>, waitMs = WAIT_MS): Promise<void> {
  const giveUpMs = performance.now() + waitMs;
  let last = '';
  for (;;) {
    const done = await holds().catch((error: unknown) => {
      last = String(error);
      return false;
    });
    if (done) return;
    if (performance.now() > giveUpMs)
      throw new Error(`Expected ${what} within ${waitMs} ms, got ${last || 'none of it'}`);
    await sleep(20);
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly agent?: http.Agent;
  readonly waitMs?: number;
}

/** One call with its whole answer. No answer is an error. */
export function call(port: number, method: string, target: string, options: CallOptions = {}): Promise<Answer> {
  const { headers = {}, body, agent = false, waitMs = WAIT_MS } = options;
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: target, headers, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    request.on('error', reject);
    request.setTimeout(waitMs, () => request.destroy(new Error(`Expected an answer within ${waitMs} ms, got none`)));
    request.end(body);
  });
}

/** What a problem document says. */
export function problemOf({ body, headers }: Answer): {
  readonly code: string;
  readonly outcome: string;
  readonly detail: string;
} {
  if (headers['content-type'] !== 'application/problem+json')
    throw new Error(`Expected a problem document, got ${headers['content-type']} ${body.slice(0, 300)}`);
  return JSON.parse(body) as { code: string; outcome: string; detail: string };
}
