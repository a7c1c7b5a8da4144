import { quantile } from '../lib/quantile.ts';
import type { BackendStats, StatsAnswer } from '../model/admin.ts';

/** What one backend did between two looks. */
export interface BackendRates {
  readonly namespace: string;
  /** Of the Service; empty for exchanges that found none. */
  readonly name: string;
  readonly port: number;
  /** Exchanges that ended, per second; so are the next two. */
  readonly rps: number;
  readonly failedPerSecond: number;
  readonly retriesPerSecond: number;
  /** Share of exchanges that did not fail, 0 to 1; null: none ended. */
  readonly successRate: number | null;
  /** Null: none ended. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  /** Exchanges under way at the second look. */
  readonly active: number;
}

/** What grows while a node runs. */
type Counters = Pick<BackendStats, 'requests' | 'failed' | 'retries' | 'durations'>;

type Counted = Counters & Pick<BackendStats, 'namespace' | 'name' | 'port' | 'active'>;

/** The part of a StatsAnswer that rates are made of. */
export interface Look extends Pick<StatsAnswer, 'timeMs' | 'boundsMs'> {
  readonly backends: readonly Counted[];
}

const NOTHING: Counters = { requests: 0, failed: 0, retries: 0, durations: [] };

/** By namespace, name and port, as in `after`. Where the node was restarted between the looks, they tell of the time since. */
export function ratesBetween(before: Look, after: Look): readonly BackendRates[] {
  const known = new Map(before.backends.map((backend) => [keyOf(backend), backend]));
  const restarted =
    after.timeMs < before.timeMs ||
    after.backends.some((backend) => backend.requests < (known.get(keyOf(backend))?.requests ?? 0));
  const elapsedMs = after.timeMs < before.timeMs ? after.timeMs : after.timeMs - before.timeMs;
  const perSecond = (count: number): number => (elapsedMs > 0 ? (count * 1000) / elapsedMs : 0);
  return after.backends.map((backend) => {
    const since = grown((restarted ? undefined : known.get(keyOf(backend))) ?? NOTHING, backend);
    const atShare = (share: number): number | null =>
      since.requests === 0 ? null : quantile(after.boundsMs, since.durations, share);
    return {
      namespace: backend.namespace,
      name: backend.name,
      port: backend.port,
      rps: perSecond(since.requests),
      failedPerSecond: perSecond(since.failed),
      retriesPerSecond: perSecond(since.retries),
      successRate: since.requests === 0 ? null : 1 - Math.min(since.failed / since.requests, 1),
      p50Ms: atShare(0.5),
      p95Ms: atShare(0.95),
      p99Ms: atShare(0.99),
      active: backend.active,
    };
  });
}

/** The same answer with the ports of each Service brought together; their port is 0. */
export function byService(look: Look): Look {
  const services = new Map<string, Counted>();
  for (const backend of look.backends) {
    const key = `${backend.namespace}/${backend.name}`;
    const sum = services.get(key);
    services.set(key, { ...(sum === undefined ? backend : added(sum, backend)), port: 0 });
  }
  return { ...look, backends: [...services.values()] };
}

function added(a: Counted, b: Counted): Counted {
  return {
    ...a,
    active: a.active + b.active,
    requests: a.requests + b.requests,
    failed: a.failed + b.failed,
    retries: a.retries + b.retries,
    durations: a.durations.map((count, index) => count + (b.durations[index] ?? 0)),
  };
}

/** Counters are read while they grow, one after the other: none of them may come out below zero. */
function grown(before: Counters, after: Counters): Counters {
  return {
    requests: Math.max(after.requests - before.requests, 0),
    failed: Math.max(after.failed - before.failed, 0),
    retries: Math.max(after.retries - before.retries, 0),
    durations: after.durations.map((count, index) => Math.max(count - (before.durations[index] ?? 0), 0)),
  };
}

function keyOf({ namespace, name, port }: Counted): string {
  return `${namespace}/${name}:${port}`;
}
