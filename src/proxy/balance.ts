import { goesByHash, type HashKey } from '../model/resilience.ts';
import { type Backend, type BackendId, endpointKey, type PlacedBackend } from '../model/snapshot.ts';
import { backendRow, Budget, Places, type Row } from '../shared.ts';
import { BackendMeter } from '../telemetry.ts';
import { Admission } from './balance/admission.ts';
import { KeyReader } from './balance/hash-key.ts';
import { Picker } from './balance/picker.ts';
import { Breaker, Health } from './health.ts';
import type { Head, Source } from './http.ts';
import { LiveEndpoint, type UpstreamContext, type WaitingRoom } from './upstream.ts';

export type { AdmissionWaiter } from './balance/admission.ts';
export { hashText as sourceHash } from './balance/hash.ts';

/** A worker's live form of a backend: its endpoints with their state, and the way to choose among them. */
export class LiveBackend {
  readonly id: BackendId;
  backend: Backend;
  endpoints: ReadonlyMap<string, LiveEndpoint>;
  /** Of the meters. */
  readonly row: number;
  readonly meter: BackendMeter;
  /** By the mark that sessions know them by; made when the first one asks. */
  #marks: ReadonlyMap<number, LiveEndpoint> | undefined = undefined;
  readonly #room: WaitingRoom;
  readonly #shared: Row;
  readonly budget: Budget;
  readonly admission: Admission;
  breaker: Breaker;
  #health: Health;
  #picker: Picker;
  #key: KeyReader;
  #isGone = false;

  constructor(placed: PlacedBackend, context: UpstreamContext) {
    const { backend, row } = placed;
    this.id = backend.id;
    this.backend = backend;
    this.row = row;
    this.meter = new BackendMeter(context.meters, context.worker, row);
    this.#room = { waiting: 0, connectMs: connectMsOf(backend, context) };
    this.#shared = backendRow(context.shared, row);
    this.budget = new Budget(context.shared, this.#shared, context.worker);
    this.admission = new Admission(
      new Places(context.shared, this.#shared, context.worker),
      context.wheel,
      context.dice,
    );
    this.breaker = new Breaker(this.#shared, backend.policy.breaker);
    this.#health = new Health(this.#shared, backend.policy, context.dice);
    this.endpoints = this.#adopt(placed, new Map(), context);
    this.#picker = new Picker(tiersOf(backend, this.endpoints), backend.policy.balance, this.#health, context.dice);
    this.#key = new KeyReader(keyOf(backend));
  }

  /**
   * Takes a new generation: endpoints that stay keep their state, the others let go of their connections.
   * @returns what puts it in force, and cannot fail.
   */
  prepare(placed: PlacedBackend, context: UpstreamContext): () => void {
    const before = this.endpoints;
    const after = this.#adopt(placed, before, context);
    const { backend } = placed;
    const { policy } = backend;
    const health = new Health(this.#shared, policy, context.dice);
    const picker = new Picker(tiersOf(backend, after), policy.balance, health, context.dice);
    const key = new KeyReader(keyOf(backend));
    return () => {
      this.backend = backend;
      this.#room.connectMs = connectMsOf(backend, context);
      this.endpoints = after;
      this.#marks = undefined;
      this.breaker = new Breaker(this.#shared, policy.breaker);
      this.#health = health;
      this.#picker = picker;
      this.#key = key;
      for (const endpoint of before.values()) if (after.get(endpoint.key) !== endpoint) endpoint.close();
    };
  }

  /** What `pick` and `meant` know of a request. @param pathStart where the path begins that rules look at. */
  hash(head: Head, source: Source, pathStart: number): number {
    return this.#key.hash(head, source, pathStart);
  }

  /**
   * The endpoint for an attempt; undefined: there is none.
   * @param mark of the endpoint of its session; 0: it has none. @param tried where this exchange failed already.
   */
  pick(hash: number, mark: number, tried: readonly LiveEndpoint[], nowMs: number): LiveEndpoint | undefined {
    const known = mark === 0 || tried.length > 0 ? undefined : this.#byMark(mark);
    if (known !== undefined && this.#picker.allows(known, nowMs)) return known;
    return this.#picker.pick(hash, nowMs, tried);
  }

  /** Where a hash leads now, without picking; undefined: nowhere, or the algorithm does not go by it. */
  meant(hash: number, nowMs: number): LiveEndpoint | undefined {
    return this.#picker.meant(hash, nowMs);
  }

  /** Is there one besides these that may get traffic? A newer generation may have taken some of these away meanwhile. */
  hasOther(tried: readonly LiveEndpoint[]): boolean {
    return this.#picker.hasOther(tried);
  }

  /** How an attempt went. @param failures that it counts as (`Health.judge`); 0: a reply below 500 came in time. */
  judge(endpoint: LiveEndpoint, failures: number, isTrial: boolean, nowMs: number): void {
    if (!this.#health.isWatched) return;
    if (this.#health.judge(endpoint, this.endpoints, failures, isTrial, nowMs)) this.meter.ejected('consecutive');
  }

  /** No plan names it any more: it gets nothing new, and its row may soon be another one's. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** From here on it is gone. */
  close(): void {
    this.#isGone = true;
    for (const endpoint of this.endpoints.values()) endpoint.close();
  }

  /** The endpoint of a session; undefined: it is gone. */
  #byMark(mark: number): LiveEndpoint | undefined {
    this.#marks ??= new Map([...this.endpoints.values()].map((endpoint) => [endpoint.mark, endpoint]));
    return this.#marks.get(mark);
  }

  #adopt(
    { backend, endpointRows }: PlacedBackend,
    before: ReadonlyMap<string, LiveEndpoint>,
    context: UpstreamContext,
  ): ReadonlyMap<string, LiveEndpoint> {
    return new Map(
      backend.endpoints.map((endpoint, index) => {
        const key = endpointKey(endpoint);
        const row = endpointRows[index]!;
        const live = before.get(key);
        // One that went and came back while this worker kept an older plan counts elsewhere now.
        return [key, live?.row === row ? live : new LiveEndpoint(endpoint, row, context, this.#room)];
      }),
    );
  }
}

function connectMsOf({ policy }: Backend, { timeouts }: UpstreamContext): number {
  return policy.connectMs ?? timeouts.connectMs;
}

/** What does not go by a hash need not look for what to hash. */
function keyOf({ policy: { balance } }: Backend): HashKey {
  return goesByHash(balance) ? balance.hashOn : { of: 'source' };
}

/**
 * From the most preferred one. Tiers are those of the backend: an endpoint that changes its tier stays the same.
 * @param live all of them, by key.
 */
function tiersOf(
  { endpoints }: Backend,
  live: ReadonlyMap<string, LiveEndpoint>,
): readonly (readonly LiveEndpoint[])[] {
  return [...Map.groupBy(endpoints, ({ tier }) => tier)]
    .toSorted(([one], [other]) => one - other)
    .map(([, tier]) => tier.map((endpoint) => live.get(endpointKey(endpoint))!));
}
