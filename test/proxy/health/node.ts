import { SeededDice } from '../../../src/lib/dice.ts';
import { TimerWheel } from '../../../src/lib/timer-wheel.ts';
import {
  type BackendPolicy,
  CHECK_STATES,
  type CheckState,
  DEFAULT_BACKEND_POLICY,
  DEFAULT_OUTLIER,
  type OutlierPolicy,
} from '../../../src/model/resilience.ts';
import { ROW_FIRST } from '../../../src/model/rows.ts';
import { type Backend, type BackendId, endpointKey } from '../../../src/model/snapshot.ts';
import { Breaker, Health, type KeptBackend } from '../../../src/proxy/health.ts';
import { HeadPool } from '../../../src/proxy/http.ts';
import { LiveEndpoint, type UpstreamContext } from '../../../src/proxy/upstream.ts';
import {
  allocateShared,
  backendRow,
  BUCKET_BYTES,
  ENDPOINT,
  type EndpointState,
  SharedReader,
} from '../../../src/shared.ts';
import { allocateMeters, BackendMeter } from '../../../src/telemetry.ts';
import { settingsOf } from '../../harness/settings.ts';

/** Some time of a thread: zero would be too like a beginning. */
export const START_MS = 100_000;

export function policyOf(
  outlier: Partial<OutlierPolicy> | undefined,
  more: Partial<BackendPolicy> = {},
): BackendPolicy {
  const whole = outlier === undefined ? undefined : { ...DEFAULT_OUTLIER, ...outlier };
  return { ...DEFAULT_BACKEND_POLICY, outlier: whole, ...more };
}

export function backendOf(policy: BackendPolicy, addresses: readonly string[], name = 'orders'): Backend {
  return {
    id: `test/${name}:80` as BackendId,
    namespace: 'test',
    name,
    port: 80,
    endpoints: addresses.map((text) => {
      const { hostname, port } = new URL(`tcp://${text}`);
      return { address: hostname, port: Number(port), tier: 0 };
    }),
    subject: undefined,
    session: undefined,
    policy,
  };
}

/** `10.0.0.1:80` and so on. */
export function addressesOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:81`);
}

/** The memory of a node, with as many workers as a test asks for: each sees it by objects of its own. */
export class Node {
  readonly meters = allocateMeters(4);
  readonly shared = allocateShared(4, BUCKET_BYTES);
  readonly reader = new SharedReader(this.shared);
  readonly wheel: TimerWheel;
  readonly context: UpstreamContext;

  constructor(wheel = new TimerWheel(START_MS)) {
    this.wheel = wheel;
    const { limits, timeouts } = settingsOf();
    this.context = {
      heads: new HeadPool(limits.headers),
      wheel,
      limits,
      timeouts,
      headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
      bodyLimits: { chunkExtension: 0, trailers: { head: 0, headers: 0, url: 0 } },
      meters: this.meters,
      shared: this.shared,
      worker: 0,
      dice: new SeededDice(1),
    };
  }

  /** A worker's live form of a backend. @param row of the backend; its endpoints have the rows from the same number on. */
  worker(worker: number, backend: Backend, row: number = ROW_FIRST, dice = new SeededDice(worker + 1)): NodeWorker {
    return new NodeWorker(this, worker, backend, row, dice);
  }

  endpoint(index: number, nowMs: number): EndpointState {
    return this.reader.endpoint(ROW_FIRST + index, nowMs);
  }
}

/** A backend as one worker has it. */
export class NodeWorker implements KeptBackend {
  readonly id: BackendId;
  readonly row: number;
  readonly meter: BackendMeter;
  readonly breaker: Breaker;
  readonly #node: Node;
  readonly #dice: SeededDice;
  backend: Backend;
  endpoints: ReadonlyMap<string, LiveEndpoint> = new Map();
  health!: Health;
  isGone = false;

  constructor(node: Node, worker: number, backend: Backend, row: number, dice: SeededDice) {
    this.id = backend.id;
    this.row = row;
    this.meter = new BackendMeter(node.meters, worker, row);
    this.breaker = new Breaker(backendRow(node.shared, row), backend.policy.breaker);
    this.backend = backend;
    this.#node = node;
    this.#dice = dice;
    this.adopt(backend);
  }

  /** A new plan: endpoints that stay are the same objects. */
  adopt(backend: Backend): void {
    const before = this.endpoints;
    this.backend = backend;
    this.health = new Health(backendRow(this.#node.shared, this.row), backend.policy, this.#dice);
    this.endpoints = new Map(
      backend.endpoints.map((endpoint, index) => {
        const key = endpointKey(endpoint);
        const room = { waiting: 0, connectMs: 1000 };
        return [key, before.get(key) ?? new LiveEndpoint(endpoint, this.row + index, this.#node.context, room)];
      }),
    );
  }

  at(index: number): LiveEndpoint {
    return [...this.endpoints.values()][index]!;
  }

  /** An attempt there, the trial if it is due to one. */
  judge(index: number, good: boolean, nowMs: number): boolean {
    const endpoint = this.at(index);
    const isTrial = endpoint.onTrial;
    endpoint.onTrial = false;
    return this.health.judge(endpoint, this.endpoints, good ? 0 : 1, isTrial, nowMs);
  }

  /** So many attempts fail there. */
  fail(index: number, count: number, nowMs: number): void {
    for (let failure = 0; failure < count; failure++) this.judge(index, false, nowMs);
  }

  /** Those that may be used, by their place. */
  get usable(): readonly number[] {
    return [...this.endpoints.values()].flatMap((endpoint, index) => (this.health.isUsable(endpoint) ? [index] : []));
  }

  nextTrialMs(nowMs: number): number {
    return this.health.nextTrialMs(this.endpoints.values(), nowMs);
  }

  /** Place of the endpoint that is to be tried. */
  takeTrial(nowMs: number): number | undefined {
    const endpoint = this.health.takeTrial(this.endpoints.values(), nowMs);
    return endpoint && [...this.endpoints.values()].indexOf(endpoint);
  }

  setCheck(index: number, state: CheckState): void {
    const { cells, base } = this.at(index).shared;
    cells[base + ENDPOINT.check] = CHECK_STATES.indexOf(state);
  }
}
