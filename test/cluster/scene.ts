import type { TestContext } from 'node:test';
import { appObjects, clientObjects, type AppSpec } from './app.ts';
import { Box, type Load, nameOf } from './box.ts';
import { heddle, installHeddle, MeshClient, NODE_SELECTOR } from './heddle.ts';
import type { LoadPlan, LoadReport } from './load.ts';
import { until } from './wait.ts';

export const NAMESPACE = 'shop';
/** Namespace and DaemonSet of deploy/heddle.yaml. */
export const MESH = 'heddle';
export const SERVICE = 'orders.shop';
export const APP = 'app=orders';
export const NODES = [
  { name: 'n1', zone: 'a' },
  { name: 'n2', zone: 'b' },
] as const;
export type NodeName = (typeof NODES)[number]['name'];

const SECONDS_MAX = 240;
/** More than --timeout-request, so that the mesh is always the first to give up. */
const TIMEOUT_MS = 40_000;
/** Of a load on kept-alive connections, and so as many of its requests are under way at once. */
export const CONNECTIONS = 16;
/** Together 100 requests a second. */
const SHAPES = {
  'GET': { ratePerSecond: 40, connections: CONNECTIONS },
  'GET anew': { ratePerSecond: 30, keepAlive: false },
  'POST': { ratePerSecond: 30, connections: CONNECTIONS, method: 'POST' },
} as const satisfies Readonly<Record<string, Partial<LoadPlan>>>;
type Shape = keyof typeof SHAPES;

/** What came of each shape of load. */
export type Reports = Readonly<Record<Shape, LoadReport>>;

export interface SceneOptions {
  readonly replicas: AppSpec['replicas'];
  /** Default: deploy/heddle.yaml. */
  readonly install?: (box: Box) => Promise<void>;
}

/** What the scenarios under load happen in: two nodes, the mesh on them, a Service in the mesh, and a client on each node. */
export class Scene {
  readonly box: Box;

  private constructor(box: Box) {
    this.box = box;
  }

  static async start({ replicas, install }: SceneOptions): Promise<Scene> {
    const box = await Box.start(NODES);
    await box.createNamespace(NAMESPACE);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas }),
      ...NODES.flatMap(({ name }) => clientObjects(NAMESPACE, `client-${name}`, name)),
    ]);
    await (install === undefined ? installHeddle(box, NODES.length) : install(box));
    const scene = new Scene(box);
    await scene.kubectl('annotate', 'service', 'orders', 'heddle.dev/enabled=true');
    await box.readyPods(NAMESPACE, APP, replicas === 'each-node' ? NODES.length : replicas);
    for (const { name } of NODES) await (await scene.client(name)).askUntil(200, SERVICE);
    return scene;
  }

  async stop(): Promise<void> {
    await this.box.stop();
  }

  /** kubectl in the namespace of the application. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return this.box.kubectl(['-n', NAMESPACE, ...args]);
  }

  async client(node: NodeName): Promise<MeshClient> {
    return MeshClient.find(this.box, NAMESPACE, `client-${node}`);
  }

  /** Standard output of the command line in the mesh's pod of a node. */
  async heddle(node: NodeName, ...args: readonly string[]): Promise<string> {
    const pod = (await this.box.pods(MESH, NODE_SELECTOR)).find(({ spec }) => spec.nodeName === node);
    if (pod === undefined) throw new Error(`Expected a pod of the mesh on ${node}, got none`);
    return heddle(this.box, nameOf(pod), args);
  }

  /** Load from the client of a node, in all shapes, until it is stopped or the test is over. */
  async startLoads(t: TestContext, node: NodeName): Promise<Loads> {
    return Loads.start(t, this.box, await this.client(node));
  }

  /** Which nodes answer the client of a node. */
  async answering(node: NodeName): Promise<readonly string[]> {
    const { pod, url } = await this.client(node);
    const load = await this.box.startLoad(pod, { url, host: SERVICE, ratePerSecond: 60, secondsMax: 1 });
    return Object.keys((await load.report()).nodes).toSorted();
  }

  async untilAnswering(node: NodeName, nodes: readonly NodeName[]): Promise<void> {
    let seen: readonly string[] = [];
    const look = async (): Promise<boolean> => {
      seen = await this.answering(node);
      return seen.join(' ') === nodes.join(' ');
    };
    await until(`answers of ${nodes.join(' and ')} only to the client of ${node}`, look, { got: () => seen.join(' ') });
  }
}

/** The load of a client, in all shapes at once. */
export class Loads {
  readonly #loads: ReadonlyMap<Shape, Load>;

  private constructor(loads: ReadonlyMap<Shape, Load>) {
    this.#loads = loads;
  }

  static async start(t: TestContext, box: Box, { pod, url }: MeshClient, host: string = SERVICE): Promise<Loads> {
    const start = async (shape: Shape): Promise<readonly [Shape, Load]> => {
      const plan = { url: `${url}/`, host, secondsMax: SECONDS_MAX, timeoutMs: TIMEOUT_MS, ...SHAPES[shape] };
      return [shape, await box.startLoad(pod, plan)];
    };
    const loads = new Loads(new Map(await Promise.all((Object.keys(SHAPES) as Shape[]).map(start))));
    // Those of a test that failed would be in the figures of the next one, whose own errors are the ones to tell.
    t.after(async () => {
      await loads.stop().catch(() => undefined);
    });
    return loads;
  }

  /** What came of it; again and again, if need be. */
  async stop(): Promise<Reports> {
    const stopped = [...this.#loads].map(async ([shape, load]) => [shape, await load.stop()] as const);
    return Object.fromEntries(await Promise.all(stopped)) as Reports;
  }
}

/** Prints the figures of a load, a line for each shape. */
export function tell(t: TestContext, title: string, reports: Reports): void {
  for (const [shape, report] of Object.entries(reports) as [Shape, LoadReport][]) {
    const { sent, failed, failures, latencyMs, longestGapMs } = report;
    const kinds = Object.entries(failures).map(([what, count]) => `${count} ${what}`);
    t.diagnostic(
      `${title}, ${shape}: ${sent} sent, ${failed} failed${kinds.length > 0 ? ` (${kinds.join(', ')})` : ''}, ` +
        `p50 ${latencyMs.p50} p99 ${latencyMs.p99} max ${latencyMs.max} ms, longest gap ${longestGapMs} ms`,
    );
  }
}

/** The failures of all shapes; none is `{}`. */
export function failuresOf(reports: Reports, shapes: readonly Shape[] = ['GET', 'GET anew', 'POST']): object {
  const failing = shapes.filter((shape) => reports[shape].failed + reports[shape].held > 0);
  return Object.fromEntries(failing.map((shape) => [shape, reports[shape].firstFailures]));
}
