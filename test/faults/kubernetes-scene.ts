import { once } from 'node:events';
import http from 'node:http';
import type { DiscoveryAnswer, EndpointsAnswer } from '../../src/model/admin.ts';
import { ApiServer, type ApiServerOptions } from '../harness/api-server.ts';
import type { StoredObject } from '../harness/api-server/collection.ts';
import { sleep } from '../harness/client.ts';
import { Mesh, type MeshOptions } from '../harness/mesh.ts';
import { Pulse } from '../harness/pulse.ts';
import { ask } from '../harness/telemetry.ts';

/** Addresses of endpoints, all of which are this machine in the namespace of the scenario. */
export const ENDPOINT_BLOCK = '10.1.0.0/16';
const PORT = 8080;
const SERVICES = '/api/v1/services';
export const SLICES = '/apis/discovery.k8s.io/v1/endpointslices';
const NAMESPACES = '/api/v1/namespaces';
const NODES = '/api/v1/nodes';
const GET = 'GET / HTTP/1.1\r\nHost: orders.shop\r\n\r\n';
/** 200 requests a second. */
const EVERY_MS = 5;
const LOOK_MS = 20;

/** All endpoints in one. */
export async function startEndpoints(): Promise<http.Server> {
  const server = http.createServer((_request, response) => response.end('ok'));
  server.listen(PORT, '0.0.0.0');
  await once(server, 'listening');
  return server;
}

/** An API server with one Service, of which one endpoint is known at a time. */
export class Scene {
  readonly server: ApiServer;
  #number = 0;

  private constructor(server: ApiServer) {
    this.server = server;
    server.put(NAMESPACES, { metadata: { name: 'shop' } });
    server.put(NODES, { metadata: { name: 'n1' } });
    server.put(SERVICES, {
      metadata: { name: 'orders', namespace: 'shop', annotations: { 'heddle.dev/enabled': 'true' } },
      spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }] },
    });
    this.move();
  }

  static async start(protocol: NonNullable<ApiServerOptions['protocol']>): Promise<Scene> {
    return new Scene(await ApiServer.start({ protocol }));
  }

  /** A node that follows it. */
  async mesh(options: Omit<MeshOptions, 'services' | 'discovery'> = {}): Promise<Mesh> {
    const discovery = ['--discovery=kubernetes', `--kubeconfig=${this.server.kubeconfig()}`, '--node-name=n1'];
    const flags = ['--admin-listen=127.0.0.1:0', ...(options.flags ?? [])];
    return Mesh.start({ services: [], ...options, discovery, flags });
  }

  /** 200 requests a second, each on a connection of its own. */
  load(mesh: Mesh): Pulse {
    return new Pulse(mesh.port, GET, EVERY_MS);
  }

  /** The Service gets another endpoint. */
  move(): StoredObject {
    this.#number++;
    return this.server.put(SLICES, {
      metadata: { name: 'orders', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'orders' } },
      addressType: 'IPv4',
      ports: [{ port: PORT }],
      endpoints: [{ addresses: [this.#address], conditions: { ready: true } }],
    });
  }

  /** Whether the node sends requests to the endpoint of now, and to no other. */
  async isFollowed(mesh: Mesh): Promise<boolean> {
    const { endpoints } = await ask<EndpointsAnswer>(mesh, '/endpoints');
    return endpoints.length === 1 && endpoints[0]?.address === `${this.#address}:${PORT}`;
  }

  /** How long it takes until then and until all kinds are followed; infinite: longer than `waitMs`. */
  async untilFollowed(mesh: Mesh, waitMs: number): Promise<number> {
    const startMs = performance.now();
    while (performance.now() - startMs < waitMs) {
      const { fresh } = await ask<DiscoveryAnswer>(mesh, '/discovery');
      if (fresh && (await this.isFollowed(mesh))) return performance.now() - startMs;
      await sleep(LOOK_MS);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Kind, and how often it was asked for as a whole. */
  get lists(): ReadonlyMap<string, number> {
    const kinds = [SERVICES, SLICES, NAMESPACES, '/api/v1/pods'];
    return new Map(kinds.map((kind) => [kind, this.server.asksFor(kind, 'list', 'watch-list').length]));
  }

  get #address(): string {
    return `10.1.${this.#number >> 8}.${(this.#number & 255) + 1}`;
  }
}
