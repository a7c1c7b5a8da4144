import { isDeepStrictEqual } from 'node:util';
import { Backoff } from '../../lib/backoff.ts';
import { recordOf } from '../../lib/record-of.ts';
import { shown } from '../../lib/shown.ts';
import type { DiscoveryAnswer } from '../../model/admin.ts';
import { type Problem, problemOf } from '../../model/problem.ts';
import type { Resources } from '../../model/resource.ts';
import type { DiscoverySettings } from '../../model/settings.ts';
import type { Log } from '../../telemetry.ts';
import type { Discovery, DiscoveryEvents } from '../discovery.ts';
import { type Access, AccessError } from './kubernetes/access.ts';
import { ApiClient, type ClusterApi } from './kubernetes/api.ts';
import { type Kind, kindsOf } from './kubernetes/kinds.ts';
import { Reflector } from './kubernetes/reflector.ts';
import { Store } from './kubernetes/store.ts';
import { TIMINGS, type Timings } from './kubernetes/timings.ts';
import { openAccess, openUsualAccess, type Way } from './kubernetes/way.ts';
import {
  RESOURCE_LISTS,
  type ResourceList,
  type Lists,
  listsOf,
  resourcesOf,
  sameResources,
} from './resource-lists.ts';
import { SnapshotFile } from './snapshot-file.ts';

export type { ApiAnswer, ApiStream, ClusterApi, RequestOptions } from './kubernetes/api.ts';

export interface KubernetesOptions {
  readonly settings: Extract<DiscoverySettings, { readonly from: 'kubernetes' }>;
  /** The node that we run on. */
  readonly nodeName: string;
  readonly log: Log;
  readonly timings?: Timings;
  /** Where the credentials of the pod are mounted. */
  readonly serviceAccount?: string;
  /** From 0 to below 1. */
  readonly dice?: () => number;
}

const TICK_MS = 1000;
/** An address may be another pod's by now: after this long, what a snapshot says of pods is a guess. */
const SNAPSHOT_PODS_MS = 300_000;
const ACCESS_RETRY_MS_FIRST = 1000;
const ACCESS_RETRY_MS_MAX = 30_000;
/** What deploy/ calls the role of the nodes. */
const CLUSTER_ROLE = 'heddle';

type Named = { readonly name: string };
/** What they hold is of the kind of the list. */
type Stores = Readonly<Record<ResourceList, Store<Named>>>;

/**
 * Follows the objects of an API server: a reflector for each kind keeps a store in step, and what the stores hold is handed
 * over, soon after it changed. Nothing is handed over before each required kind was read, but for the last good state of a
 * snapshot file, which all kinds begin with; from then on the last good state of each kind stays until there is a newer one.
 */
export class KubernetesDiscovery implements Discovery {
  readonly #options: KubernetesOptions;
  readonly #timings: Timings;
  readonly #events: DiscoveryEvents;
  readonly #kinds;
  readonly #stores: Stores;
  readonly #ticks: NodeJS.Timeout;
  readonly #backoff = new Backoff(ACCESS_RETRY_MS_FIRST, ACCESS_RETRY_MS_MAX);
  #stopped = false;
  #accessError: AccessError | undefined = undefined;
  #accessTimer: NodeJS.Timeout | undefined = undefined;
  #api: ApiClient | undefined = undefined;
  #reflectors: readonly Reflector<Named>[] = [];
  #snapshot: SnapshotFile | undefined = undefined;
  /** When the snapshot was last confirmed from which all came that is in force. */
  #snapshotMs: number | undefined = undefined;
  #gathering: NodeJS.Timeout | undefined = undefined;
  #resources: Resources | undefined = undefined;
  #problems: readonly Problem[] = [];
  /** Milliseconds since 1970 at which all that is required was fresh, and monotonic ones at which the snapshot file was told. */
  #freshMs: number | undefined = undefined;
  #savedMs = Number.NEGATIVE_INFINITY;

  constructor(options: KubernetesOptions, events: DiscoveryEvents) {
    this.#options = options;
    this.#timings = options.timings ?? TIMINGS;
    this.#events = events;
    this.#kinds = kindsOf(options.nodeName);
    this.#stores = recordOf<Stores>(RESOURCE_LISTS, (list) => new Store<Named>(this.#kinds[list]));
    this.#ticks = setInterval(
      () => {
        this.#tick();
      },
      Math.min(TICK_MS, this.#timings.staleMs),
    );
    void this.#start();
  }

  reread(): void {
    for (const reflector of this.#reflectors) reflector.reread();
  }

  get status(): DiscoveryAnswer {
    const { kubeconfig } = this.#options.settings;
    return {
      from: 'kubernetes',
      sources: [this.#api?.server ?? kubeconfig ?? 'the service account of the pod'],
      fresh: this.#isFresh,
      snapshotTime: this.#snapshotMs === undefined ? null : new Date(this.#snapshotMs).toISOString(),
      kinds: this.#reflectors.map(({ view }) => view),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#ticks);
    clearTimeout(this.#accessTimer);
    clearTimeout(this.#gathering);
    for (const reflector of this.#reflectors) reflector.stop();
    this.#api?.close();
    await this.#snapshot?.close();
  }

  /** Looks for the way to the API server until there is one: a file may be mended. */
  async #start(): Promise<void> {
    const { settings, serviceAccount } = this.#options;
    let access: Access;
    try {
      access = await openAccess(settings, serviceAccount);
    } catch (error) {
      if (this.#stopped) return;
      const mismatch = { field: '', expected: 'a way to the API server', got: shown((error as Error).message) };
      this.#accessError = error instanceof AccessError ? error : new AccessError('Kubernetes', mismatch);
      this.#gather();
      this.#accessTimer = setTimeout(() => void this.#start(), this.#backoff.next(performance.now()));
      return;
    }
    if (this.#stopped) return;
    this.#accessError = undefined;
    this.#api = new ApiClient(access, this.#timings);
    await this.#load(this.#api.server);
    if (!this.#stopped) this.#follow(this.#api);
  }

  /** Begins with what a snapshot file holds. */
  async #load(source: string): Promise<void> {
    const { settings, log } = this.#options;
    const { snapshotFile: file, snapshotMaxAgeMs: maxAgeMs } = settings;
    if (file === undefined) return;
    this.#snapshot = new SnapshotFile({ file, maxAgeMs, source });
    const loaded = await this.#snapshot.load();
    if (this.#stopped) return;
    if ('refused' in loaded) {
      log.info({ file, reason: loaded.refused }, 'No snapshot');
      return;
    }
    const { syncedMs } = loaded.state;
    const ageMs = Math.max(0, Date.now() - syncedMs);
    const resources = ageMs > SNAPSHOT_PODS_MS ? { ...loaded.state.resources, pods: [] } : loaded.state.resources;
    this.#snapshotMs = syncedMs;
    this.#freshMs = syncedMs;
    const lists = listsOf(resources);
    for (const list of RESOURCE_LISTS) this.#stores[list].seed(lists[list]);
    log.info({ file, ageMs }, 'Snapshot');
    this.#resources = resources;
    this.#events.onResources(resources);
  }

  #follow(api: ApiClient): void {
    const { dice = Math.random } = this.#options;
    const shared = {
      api,
      dice,
      timings: this.#timings,
      onChange: () => {
        this.#gather();
      },
    };
    this.#reflectors = RESOURCE_LISTS.map((list) => {
      const kind: Kind<Named> = this.#kinds[list];
      return new Reflector({ ...shared, kind, store: this.#stores[list] });
    });
  }

  /** Changes often come in company. */
  #gather(): void {
    if (this.#stopped) return;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#handOver();
    }, this.#timings.gatherMs);
  }

  #handOver(): void {
    this.#tellProblems();
    if (!this.#isReady) return;
    this.#snapshotMs = undefined;
    const before = this.#resources;
    const resources = resourcesOf(recordOf<Lists>(RESOURCE_LISTS, (list) => this.#stores[list].resources));
    if (before !== undefined && sameResources(resources, before)) return;
    this.#resources = resources;
    this.#events.onResources(resources);
    this.#save();
  }

  /** All required kinds were read: a full list of one kind and an empty one of another would mean something that never was. */
  get #isReady(): boolean {
    return this.#reflectors.length > 0 && this.#reflectors.every(isReady);
  }

  get #isFresh(): boolean {
    return this.#reflectors.length > 0 && this.#reflectors.every(({ isFresh }) => isFresh);
  }

  /** What nobody may read here, such as pods, must not keep all else out of the snapshot. */
  get #isRequiredFresh(): boolean {
    return (
      this.#reflectors.length > 0 && this.#reflectors.every(({ kind, isFresh }) => kind.need !== 'required' || isFresh)
    );
  }

  #tick(): void {
    if (this.#reflectors.length > 0) this.#tellProblems();
    if (!this.#isRequiredFresh) return;
    this.#freshMs = Date.now();
    if (performance.now() - this.#savedMs >= this.#timings.saveMs) this.#save();
  }

  #save(): void {
    if (this.#isRequiredFresh) this.#freshMs = Date.now();
    if (this.#resources === undefined || this.#freshMs === undefined) return;
    this.#savedMs = performance.now();
    // The stamp says nothing of pods that are not followed, and their addresses may be others' by now.
    const hasPods = this.#reflectors.every(({ kind, isFresh }) => kind.kind !== 'Pod' || isFresh);
    this.#snapshot?.save(hasPods ? this.#resources : { ...this.#resources, pods: [] }, this.#freshMs);
  }

  #tellProblems(): void {
    const problems = [
      ...this.#problemsOfAccess(),
      ...RESOURCE_LISTS.flatMap((list) => this.#stores[list].problems),
      ...this.#problemsOfSnapshot(),
    ];
    if (isDeepStrictEqual(problems, this.#problems)) return;
    this.#problems = problems;
    this.#events.onProblems(problems);
  }

  get #server(): string {
    return `API server ${this.#api?.server ?? ''}`;
  }

  #problemsOfSnapshot(): readonly Problem[] {
    const { snapshotFile: file = '' } = this.#options.settings;
    const got = this.#snapshot?.error;
    if (got === undefined) return [];
    return [problemOf(file, { field: '', expected: 'a snapshot file that can be written', got })];
  }

  /** What is in the way of following; one problem for all kinds that have the same. */
  #problemsOfAccess(): readonly Problem[] {
    if (this.#accessError !== undefined) return [problemOf(this.#accessError.object, this.#accessError)];
    const problems: Problem[] = [];
    const failing = new Map<string, string[]>();
    for (const { kind, trouble } of this.#reflectors) {
      if (trouble === undefined) continue;
      const { type, text } = trouble;
      if (type === 'forbidden') {
        const verbs = kind.how === 'poll' ? 'get' : 'get, list and watch';
        const expected = `a rule that allows ${verbs} of ${kind.resource}`;
        problems.push(problemOf(`ClusterRole ${CLUSTER_ROLE}`, { field: 'rules', expected, got: text }));
      } else if (type === 'absent')
        problems.push(problemOf(this.#server, { field: kind.paths[0], expected: absentExpected(kind), got: text }));
      else failing.set(text, [...(failing.get(text) ?? []), kind.kind]);
    }
    for (const [got, kinds] of failing)
      problems.push(problemOf(this.#server, { field: '', expected: `to follow ${kinds.join(', ')}`, got }));
    return problems;
  }
}

/** For those who ask a cluster a few things. Finds it as kubectl does; rejects where there is no way to it. */
export async function openCluster(way: Way): Promise<ClusterApi> {
  return new ApiClient(await openUsualAccess(way));
}

/** Whether what is known of the kind may be handed over. */
function isReady({ kind, isRead, isTried, isSettled }: Reflector<Named>): boolean {
  if (kind.need === 'required') return isRead;
  return kind.need === 'wished' ? isTried : isSettled;
}

function absentExpected({ how, kind }: Pick<Kind<never>, 'how' | 'kind'>): string {
  return how === 'poll' ? `the ${kind} that we run on` : `a server that knows the kind ${kind}`;
}
