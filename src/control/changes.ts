import { networkInterfaces } from 'node:os';
import { parseIp } from '../lib/ip.ts';
import { nextTurn } from '../lib/next-turn.ts';
import { unchanged } from '../lib/unchanged.ts';
import type { GenerationView } from '../model/admin.ts';
import { type Problem, problemText } from '../model/problem.ts';
import type { ClusterNode, Resources } from '../model/resource.ts';
import type { RouteResource } from '../model/route-resource.ts';
import type { RouteStatus } from '../model/routing.ts';
import type { BackendId, Change, Snapshot } from '../model/snapshot.ts';
import type { SharedReader } from '../shared.ts';
import type { Log, MeterReader } from '../telemetry.ts';
import { type Compilation, compile, type CompileOptions } from './compile.ts';
import { Generations } from './generations.ts';
import { type Localization, localize, type Unused, type View } from './localize.ts';
import { limitedProblems } from './problem-limit.ts';
import { Publication } from './publication.ts';

export interface ChangesOptions extends CompileOptions {
  readonly nodeName: string;
  /** Undefined: that of the Node object. */
  readonly zone: string | undefined;
  readonly workers: number;
  readonly meters: MeterReader;
  readonly shared: SharedReader;
  readonly log: Log;
  /** @param whole makes all that is in force, for a worker that has not what the change builds upon. */
  readonly publish: (change: Change, whole: () => Change) => void;
}

/** The system is asked for the addresses of this machine at most so often: changes come many times a second. */
const ADDRESSES_AGE_MS = 10_000;

/** New routes that are compiled in one turn of the event loop: thousands at once would hold up all else. */
const ROUTES_OF_TURN = 100;

/** Problems of one change that are logged, and as many that it solved. */
const LOGGED_MAX = 100;

/** Where a problem was found; each stage tells all of its own at a time. */
type Stage = 'discovery' | 'compile' | 'localize' | 'bridge';

/**
 * A change on its way: resources → compile → localize → publication to the workers. Holds what is in force, what is wrong with
 * what was wished, and how far each generation has come.
 */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #publication: Publication;
  readonly #generations: Generations;
  readonly #problems: Record<Stage, readonly Problem[]> = { discovery: [], compile: [], localize: [], bridge: [] };
  /** Ports of ours that an endpoint must not be. */
  readonly #ports = new Set<number>();
  /** Of this machine, and when the system was asked for them. */
  #addresses: readonly string[] = [];
  #addressesMs = -Infinity;
  #node: ClusterNode | undefined = undefined;
  #view: View | undefined = undefined;
  #compilation: Compilation | undefined = undefined;
  /** More of it, of which nothing is in force: what comes next builds upon it. */
  #prepared: Compilation | undefined = undefined;
  /** That were compiled before what is prepared now. */
  #routes: ReadonlySet<RouteResource> = new Set();
  #localization: Localization | undefined = undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#publication = new Publication(options.meters, options.shared);
    this.#generations = new Generations(options.workers);
  }

  /**
   * Compiles routes, if many are new, a part in each turn of the event loop, so that `onResources` has less to do: nothing else
   * comes of it. Undefined: they are few.
   */
  prepare(resources: Resources): Promise<void> | undefined {
    const isNew = (route: RouteResource): boolean => !this.#routes.has(route);
    const count = resources.httpRoutes.filter(isNew).length + resources.grpcRoutes.filter(isNew).length;
    return count > ROUTES_OF_TURN ? this.#prepare(resources, count) : undefined;
  }

  async #prepare(resources: Resources, count: number): Promise<void> {
    for (let part = ROUTES_OF_TURN; part < count; part += ROUTES_OF_TURN) {
      let left = part;
      const isIn = (route: RouteResource): boolean => this.#routes.has(route) || left-- > 0;
      const [httpRoutes, grpcRoutes] = [resources.httpRoutes.filter(isIn), resources.grpcRoutes.filter(isIn)];
      const some = { ...resources, httpRoutes, grpcRoutes };
      this.#prepared = compile(some, this.#prepared ?? this.#compilation, this.#options);
      await new Promise<void>(nextTurn);
    }
  }

  onResources(resources: Resources): void {
    this.#node = resources.node;
    this.#compilation = compile(resources, this.#prepared ?? this.#compilation, this.#options);
    this.#prepared = undefined;
    this.#routes = new Set([...resources.httpRoutes, ...resources.grpcRoutes]);
    this.#setProblems('compile', this.#compilation.problems);
    this.#publish();
  }

  onProblems(problems: readonly Problem[]): void {
    this.#setProblems('discovery', limitedProblems([problems], this.#problems.discovery));
  }

  /** What the broker does not let the bridge do, and files of it that cannot be read. */
  onBridgeProblems(problems: readonly Problem[]): void {
    this.#setProblems('bridge', limitedProblems([problems], this.#problems.bridge));
  }

  /** A listener of ours was opened: no endpoint may be it. */
  listens(port: number): void {
    if (this.#ports.has(port)) return;
    this.#ports.add(port);
    if (this.#compilation !== undefined) this.#publish();
  }

  applied(worker: number, generation: number): void {
    this.#generations.applied(worker, generation, performance.now());
  }

  kept(worker: number, generation: number, reason: string): void {
    this.#generations.kept(worker, generation, reason, performance.now());
  }

  /** All workers have at least this generation. */
  settle(applied: number): void {
    this.#publication.settle(applied);
  }

  get snapshot(): Snapshot | undefined {
    return this.#publication.snapshot;
  }

  get problems(): readonly Problem[] {
    const { discovery, compile: compiled, localize: localized, bridge } = this.#problems;
    return [...discovery, ...compiled, ...localized, ...bridge];
  }

  /** Of Gateway API routes, as they were compiled last. */
  get statuses(): readonly RouteStatus[] {
    return this.#compilation?.statuses ?? [];
  }

  /** Endpoints of a backend that are known and get nothing, with the reason. */
  unused(id: BackendId): readonly Unused[] {
    return this.#localization?.chosen.get(id)?.unused ?? [];
  }

  /** Newest first. */
  get generations(): readonly GenerationView[] {
    return this.#generations.views;
  }

  backendRow(id: BackendId): number {
    return this.#publication.backendRow(id);
  }

  endpointRow(id: BackendId, key: string): number {
    return this.#publication.endpointRow(id, key);
  }

  #publish(): void {
    const { log, publish } = this.#options;
    this.#view = unchanged(this.#viewNow(), this.#view);
    this.#localization = localize(this.#compilation!, this.#view, this.#localization);
    const { configuration, problems } = this.#localization;
    this.#setProblems('localize', problems);
    const change = this.#publication.next(configuration);
    if (change === undefined) return;
    this.#generations.published(change, performance.now());
    publish(change, () => this.#publication.whole());
    const { frontends } = configuration;
    const services = frontends.filter(({ enabled }) => enabled).length;
    log.info({ generation: change.generation, services, known: frontends.length }, 'Configuration');
  }

  #viewNow(): View {
    const nowMs = performance.now();
    if (nowMs - this.#addressesMs >= ADDRESSES_AGE_MS) {
      this.#addressesMs = nowMs;
      this.#addresses = machineAddresses();
    }
    return {
      nodeName: this.#options.nodeName,
      zone: this.#options.zone ?? this.#node?.zone ?? '',
      // Behind a hostPort we are reached at addresses of the node, which this machine does not have.
      addresses: new Set([...this.#addresses, ...(this.#node?.addresses ?? [])]),
      ports: new Set(this.#ports),
    };
  }

  /** Only what is new is logged, and what is over. */
  #setProblems(stage: Stage, problems: readonly Problem[]): void {
    if (problems === this.#problems[stage]) return;
    const { log } = this.#options;
    // Most are the same objects as before; the text tells of the others.
    const left = new Set(this.#problems[stage]);
    const others = problems.filter((problem) => !left.delete(problem));
    const solved = new Set([...left].map(problemText));
    const found = others.filter((problem) => !solved.delete(problemText(problem)));
    this.#problems[stage] = problems;
    for (const problem of found.slice(0, LOGGED_MAX)) log.warn({ problem }, problemText(problem));
    if (found.length > LOGGED_MAX)
      log.warn(`${found.length - LOGGED_MAX} more problems are not logged, but told with the others`);
    for (const text of [...solved].slice(0, LOGGED_MAX)) log.info(`Solved: ${text}`);
    if (solved.size > LOGGED_MAX) log.info(`${solved.size - LOGGED_MAX} more problems are solved`);
  }
}

/** Canonical, so that they compare with those of endpoints. */
function machineAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flat()
    .map((found) => parseIp(found?.address ?? '')?.address)
    .filter((address) => address !== undefined);
}
