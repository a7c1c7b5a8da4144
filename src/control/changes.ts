import { networkInterfaces } from 'node:os';
import type { GenerationView } from '../model/admin.ts';
import { type Problem, problemText } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import {
  type Backend,
  type BackendId,
  type Change,
  type Endpoint,
  endpointKey,
  type Snapshot,
} from '../model/snapshot.ts';
import type { Log, MeterReader } from '../telemetry.ts';
import { type Compilation, compile, type Unused, unusedEndpoints } from './compile.ts';
import { Generations } from './generations.ts';
import { localize } from './localize.ts';
import { Publication } from './publication.ts';

export interface ChangesOptions {
  readonly clusterDomain: string;
  readonly workers: number;
  readonly meters: MeterReader;
  readonly log: Log;
  /** @param whole makes all that is in force, for a worker that has not what the change builds upon. */
  readonly publish: (change: Change, whole: () => Change) => void;
}

/** Where a problem was found; each stage tells all of its own at a time. */
type Stage = 'discovery' | 'compile' | 'localize';

/**
 * A change on its way: resources → compile → localize → publication to the workers. Holds what is in force, what is wrong with
 * what was wished, and how far each generation has come.
 */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #publication: Publication;
  readonly #generations: Generations;
  readonly #problems: Record<Stage, readonly Problem[]> = { discovery: [], compile: [], localize: [] };
  /** Ports of ours that an endpoint must not be. */
  readonly #ports: number[] = [];
  #compilation: Compilation | undefined = undefined;
  /** Before and after `localize`. */
  #compiled: ReadonlyMap<BackendId, Backend> = new Map();
  #used: ReadonlyMap<BackendId, Backend> = new Map();

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#publication = new Publication(options.meters);
    this.#generations = new Generations(options.workers);
  }

  onResources(resources: Resources): void {
    this.#compilation = compile(resources, this.#compilation, this.#options.clusterDomain);
    this.#setProblems('compile', this.#compilation.problems);
    this.#publish();
  }

  onProblems(problems: readonly Problem[]): void {
    this.#setProblems('discovery', problems);
  }

  /** A listener of ours was opened: no endpoint may be it. */
  listens(port: number): void {
    if (this.#ports.includes(port)) return;
    this.#ports.push(port);
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
    const { discovery, compile: compiled, localize: localized } = this.#problems;
    return [...discovery, ...compiled, ...localized];
  }

  /** Endpoints of a backend that are known and get nothing, with the reason. */
  unused(id: BackendId): readonly Unused[] {
    const compiled = this.#compiled.get(id);
    if (compiled === undefined || this.#compilation === undefined) return [];
    const used = new Set(this.#used.get(id)?.endpoints.map(endpointKey));
    const own = compiled.endpoints.map(endpointKey).filter((address) => !used.has(address));
    return [
      ...unusedEndpoints(this.#compilation, compiled),
      ...own.map((address) => ({ address, reason: 'a listener of this mesh' })),
    ];
  }

  /** Newest first. */
  get generations(): readonly GenerationView[] {
    return this.#generations.views;
  }

  serviceRow(id: BackendId): number {
    return this.#publication.serviceRow(id);
  }

  endpointRow(id: BackendId, key: string): number {
    return this.#publication.endpointRow(id, key);
  }

  #publish(): void {
    const { log, publish } = this.#options;
    const { configuration, problems } = localize(
      this.#compilation!.configuration,
      ownAddresses(this.#ports),
      this.#publication.snapshot,
    );
    this.#setProblems('localize', problems);
    this.#compiled = byId(this.#compilation!.configuration.backends);
    this.#used = byId(configuration.backends);
    const change = this.#publication.next(configuration);
    if (change === undefined) return;
    this.#generations.published(change, performance.now());
    publish(change, () => this.#publication.whole());
    const { routes } = configuration;
    const services = routes.filter(({ enabled }) => enabled).length;
    log.info({ generation: change.generation, services, known: routes.length }, 'Configuration');
  }

  /** Only what is new is logged, and what is over. */
  #setProblems(stage: Stage, problems: readonly Problem[]): void {
    const { log } = this.#options;
    const before = new Set(this.#problems[stage].map(problemText));
    this.#problems[stage] = problems;
    for (const problem of problems) {
      const text = problemText(problem);
      if (!before.delete(text)) log.warn({ problem }, text);
    }
    for (const text of before) log.info(`Solved: ${text}`);
  }
}

function byId(backends: readonly Backend[]): ReadonlyMap<BackendId, Backend> {
  return new Map(backends.map((backend) => [backend.id, backend]));
}

/** Each address of this machine with each of these ports. */
function ownAddresses(ports: readonly number[]): readonly Endpoint[] {
  const addresses = Object.values(networkInterfaces())
    .flat()
    .flatMap((address) => (address === undefined ? [] : [address.address]));
  return addresses.flatMap((address) => ports.map((port) => ({ address, port })));
}
