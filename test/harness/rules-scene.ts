import type { GenerationsAnswer, ProblemsAnswer, ProblemView } from '../../src/model/admin.ts';
import { sleep } from './client.ts';
import { ManifestFolder } from './manifest-folder.ts';
import { Mesh, serviceManifest } from './mesh.ts';
import { Echo, RoutedLoad, type RoutedLoadOptions } from './routed-load.ts';
import { ask } from './telemetry.ts';

const LOOK_MS = 20;

/** An HTTPRoute for port 80 of the Service shop/PARENT. */
export function route(parent: string, rules: readonly object[], name = parent): object {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'shop' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: parent, port: 80 }], rules },
  };
}

export const to = (name: string, weight = 1): object => ({ name, port: 80, weight });

/** How long a thread did nothing else, at most. */
export interface Stall {
  readonly thread: string;
  readonly ms: number;
  readonly processorMs: number;
}

/** A node that follows a folder, with two endpoints that say who they are. Manifests are of the namespace `shop`. */
export class RulesScene {
  readonly manifests = new ManifestFolder();
  readonly echoes: ReadonlyMap<string, Echo>;
  readonly workers: number;
  mesh!: Mesh;
  readonly #loads: RoutedLoad[] = [];

  private constructor(echoes: ReadonlyMap<string, Echo>, workers: number) {
    this.echoes = echoes;
    this.workers = workers;
  }

  static async start(workers: number): Promise<RulesScene> {
    const echoes = await Promise.all(['v1', 'v2', 'own'].map(async (name) => [name, await Echo.start(name)] as const));
    const scene = new RulesScene(new Map(echoes), workers);
    const v1AndV2 = ['v1', 'v2'].map((name) => scene.service(name, name, {}, false));
    scene.manifests.put('endpoints.yaml', v1AndV2);
    const flags = ['--admin-listen=127.0.0.1:0', '--manifests', scene.manifests.path];
    try {
      scene.mesh = await Mesh.start({ services: [], workers, flags, saboteur: true });
    } catch (error) {
      await scene.#end();
      throw error;
    }
    return scene;
  }

  /** A Service with the endpoint of this name. */
  service(name: string, endpoint = 'own', annotations: Readonly<Record<string, string>> = {}, enabled = true): object {
    const endpoints = [this.echoes.get(endpoint)!.address];
    return serviceManifest({ name, namespace: 'shop', endpoints, annotations, enabled });
  }

  load(options: RoutedLoadOptions): RoutedLoad {
    const load = new RoutedLoad(this.mesh.port, options);
    this.#loads.push(load);
    return load;
  }

  async problems(): Promise<readonly ProblemView[]> {
    return (await ask<ProblemsAnswer>(this.mesh, '/problems')).problems;
  }

  async generation(): Promise<number> {
    return (await ask<GenerationsAnswer>(this.mesh, '/generations')).current;
  }

  /** Waits until each worker has a later generation than this one. */
  async later(generation: number, waitMs = 20_000): Promise<void> {
    await this.until('a later generation in force', waitMs, async () => {
      const { current, generations } = await ask<GenerationsAnswer>(this.mesh, '/generations');
      const isInForce = generations[0]?.workers.every(({ state }) => state === 'applied') === true;
      return current > generation && isInForce;
    });
  }

  async until(what: string, waitMs: number, done: () => Promise<boolean>): Promise<void> {
    const giveUpMs = performance.now() + waitMs;
    while (!(await done())) {
      if (performance.now() > giveUpMs) throw new Error(`Expected ${what} within ${waitMs} ms`);
      await sleep(LOOK_MS);
    }
  }

  /** Of all threads, since this was last asked: the longest stall of the main thread, and that of any worker. */
  async stalls(): Promise<readonly [main: Stall, worker: Stall]> {
    const main = await this.mesh.delay('main');
    const workers: Stall[] = [];
    for (let worker = 0; worker < this.workers; worker++)
      workers.push({ thread: `worker ${worker}`, ...(await this.mesh.delay(worker)) });
    return [{ thread: 'main thread', ...main }, workers.toSorted((a, b) => b.processorMs - a.processorMs)[0]!];
  }

  /** Ends its loads too. */
  async stop(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
    try {
      await this.mesh.stop();
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    await Promise.all([...this.echoes.values()].map((echo) => echo.stop()));
    this.manifests.end();
  }
}
