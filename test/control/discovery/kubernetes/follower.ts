import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { KubernetesDiscovery, type KubernetesOptions } from '../../../../src/control/discovery/kubernetes.ts';
import { ApiClient } from '../../../../src/control/discovery/kubernetes/api.ts';
import type { Kind } from '../../../../src/control/discovery/kubernetes/kinds.ts';
import { Reflector } from '../../../../src/control/discovery/kubernetes/reflector.ts';
import { Store } from '../../../../src/control/discovery/kubernetes/store.ts';
import { openAccess } from '../../../../src/control/discovery/kubernetes/way.ts';
import { TIMINGS, type Timings } from '../../../../src/control/discovery/kubernetes/timings.ts';
import type { DiscoveryAnswer, KindView } from '../../../../src/model/admin.ts';
import { problemText, type Problem } from '../../../../src/model/problem.ts';
import type { Resources } from '../../../../src/model/resource.ts';
import { createLog } from '../../../../src/telemetry.ts';
import { ApiServer, type ApiServerOptions, type NewObject } from '../../../harness/api-server.ts';
import { eventually } from '../../../harness/client.ts';

/** Fast enough for tests; what must not fire by chance on a busy machine is as long as ever. */
export const FAST: Timings = {
  ...TIMINGS,
  retryFirstMs: 20,
  retryMaxMs: 100,
  listEveryMs: 50,
  relistMs: 20,
  confirmMs: 100,
  absentMs: 100,
  watchShortMs: 20,
  pollMs: 200,
};

export const SERVICES = '/api/v1/services';
export const SLICES = '/apis/discovery.k8s.io/v1/endpointslices';
export const NAMESPACES = '/api/v1/namespaces';
export const PODS = '/api/v1/pods';
export const NODES = '/api/v1/nodes';
export const THINGS = '/apis/example.test/v1/things';

/** A server with a namespace, this node and one Service `shop/a`, until the test ends. */
export async function apiServer(t: TestContext, options: ApiServerOptions = {}): Promise<ApiServer> {
  const server = await ApiServer.start(options);
  t.after(async () => server.stop());
  server.put(NAMESPACES, { metadata: { name: 'shop' } });
  server.put(NODES, { metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] } });
  server.put(SERVICES, service('a'));
  return server;
}

/** A Service of the namespace shop; the last part of its cluster IP tells versions apart. */
export function service(name: string, version = 1): NewObject {
  return {
    metadata: { name, namespace: 'shop', annotations: { 'heddle.dev/enabled': 'true' } },
    spec: { clusterIP: `10.96.0.${version}`, ports: [{ port: 80 }] },
  };
}

export function slice(name: string, addresses: readonly string[] = ['10.1.0.1']): NewObject {
  return {
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'a' } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

/** Follows an API server until the test ends, and remembers what it was told. */
export class Follower {
  readonly handedOver: Resources[] = [];
  readonly told: (readonly Problem[])[] = [];
  readonly #discovery: KubernetesDiscovery;

  constructor(
    t: TestContext,
    kubeconfig: string | undefined,
    {
      timings = {},
      settings = {},
      ...options
    }: {
      readonly timings?: Partial<Timings>;
      readonly settings?: Partial<KubernetesOptions['settings']>;
      readonly serviceAccount?: string;
    } = {},
  ) {
    const events = {
      onResources: (resources: Resources): void => {
        this.handedOver.push(resources);
      },
      onProblems: (problems: readonly Problem[]): void => {
        this.told.push(problems);
      },
    };
    this.#discovery = new KubernetesDiscovery(
      {
        settings: {
          from: 'kubernetes',
          kubeconfig,
          context: undefined,
          snapshotFile: undefined,
          snapshotMaxAgeMs: 3_600_000,
          ...settings,
        },
        nodeName: 'n1',
        log: createLog({ logLevel: 'fatal', logFormat: 'json' }, () => undefined),
        timings: { ...FAST, ...timings },
        ...options,
      },
      events,
    );
    t.after(() => {
      this.stop();
    });
  }

  /** When the first state was handed over and each kind is followed. */
  static async start(
    t: TestContext,
    server: ApiServer,
    options?: ConstructorParameters<typeof Follower>[2],
  ): Promise<Follower> {
    const follower = new Follower(t, server.kubeconfig(), options);
    await follower.until('all to be live', () => follower.handedOver.length > 0 && follower.status.fresh);
    return follower;
  }

  get now(): Resources | undefined {
    return this.handedOver.at(-1);
  }

  /** Services and the last part of each cluster IP: `a=1 b=1`. */
  get state(): string {
    const states = this.now?.services.map(({ name, clusterIps }) => `${name}=${clusterIps[0]?.split('.').at(-1)}`);
    return (states ?? ['nothing']).toSorted().join(' ');
  }

  get lines(): readonly string[] {
    return (this.told.at(-1) ?? []).map(problemText);
  }

  get status(): DiscoveryAnswer {
    return this.#discovery.status;
  }

  kind(name: string): KindView {
    return this.status.kinds.find(({ kind }) => kind === name)!;
  }

  reread(): void {
    this.#discovery.reread();
  }

  stop(): void {
    void this.#discovery.stop();
  }

  async until(what: string, done: () => boolean): Promise<void> {
    await eventually(done, { what, waitMs: 20_000 }).catch((error: unknown) => {
      throw new Error(`${String(error)}, got ${JSON.stringify([this.state, this.lines, this.status])}`);
    });
  }

  async untilState(state: string): Promise<void> {
    await this.until(`the state ${state}`, () => this.state === state);
  }
}

interface Thing {
  readonly name: string;
}

interface Things {
  readonly server: ApiServer;
  readonly store: Store<Thing>;
  readonly reflector: Reflector<Thing>;
}

/** Follows a kind that the server need not know, without discovery around it. */
export async function things(
  t: TestContext,
  server: ApiServer,
  options: { readonly objectsMax?: number; readonly onChange?: () => void } = {},
): Promise<Things> {
  const kind: Kind<Thing> = {
    kind: 'Thing',
    resource: 'things.example.test',
    groupPath: '/apis/example.test',
    paths: [THINGS],
    how: 'watch',
    need: 'optional',
    trim: ({ metadata: { name } }: { metadata: Thing }) => ({ resource: { name }, mismatches: [] }),
  };
  const api = new ApiClient(await openAccess({ kubeconfig: server.kubeconfig(), context: undefined }));
  const store = new Store(kind);
  const reflector = new Reflector({
    kind,
    store,
    api,
    timings: FAST,
    dice: Math.random,
    onChange: () => undefined,
    ...options,
  });
  t.after(() => {
    reflector.stop();
    api.close();
  });
  return { server, store, reflector };
}

/** A directory until the test ends. */
export function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-kubernetes-'));
  t.after(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}
