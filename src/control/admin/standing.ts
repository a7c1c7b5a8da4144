import type { EndpointView, LoadView } from '../../model/admin.ts';
import { isPanic } from '../../model/resilience.ts';
import { type Backend, endpointKey } from '../../model/snapshot.ts';
import { ROW_FIRST } from '../../model/rows.ts';
import type { AdminSource } from './source.ts';

// How endpoints and backends stand now, over all workers of the node: what they share, seen with the policy in force. What a policy
// does not ask for counts for nothing, though its cells may hold what an earlier one left.

/** Of an endpoint that traffic is meant for. */
export type EndpointStanding = Pick<
  EndpointView,
  'ejectedMs' | 'ejectedBy' | 'ejections' | 'failuresInRow' | 'check'
> & {
  /** Neither ejected nor failing its check. */
  readonly isUsable: boolean;
  /** Since it came to a backend that was there; undefined: it is as old as that. */
  readonly ageMs: number | undefined;
};

export interface BackendStanding {
  /** By key. */
  readonly endpoints: ReadonlyMap<string, EndpointStanding>;
  readonly usable: number;
  /** So few are usable that it makes no difference which. */
  readonly panic: boolean;
}

/** Of an endpoint of which nothing is known here: it has no row of its own, or nobody asks. */
export const GOOD_STANDING: EndpointStanding = {
  isUsable: true,
  ejectedMs: null,
  ejectedBy: '',
  ejections: 0,
  failuresInRow: 0,
  check: 'off',
  ageMs: undefined,
};

export function backendStanding(source: AdminSource, backend: Backend, nowMs: number): BackendStanding {
  const { endpoints, policy } = backend;
  const standings = new Map<string, EndpointStanding>();
  let usable = 0;
  for (const one of endpoints) {
    const key = endpointKey(one);
    const standing = endpointStanding(source, backend, key, nowMs);
    standings.set(key, standing);
    if (standing.isUsable) usable++;
  }
  return { endpoints: standings, usable, panic: isPanic(policy.balance, usable, endpoints.length) };
}

/** @param key of one of its endpoints. */
export function endpointStanding(source: AdminSource, backend: Backend, key: string, nowMs: number): EndpointStanding {
  const { outlier, check, balance } = backend.policy;
  const row = source.endpointRow(backend.id, key);
  if (row < ROW_FIRST || (outlier === undefined && check === undefined && balance.slowStartMs === 0))
    return GOOD_STANDING;
  const state = source.shared.endpoint(row, nowMs);
  const ejectedMs = outlier === undefined ? null : (state.ejectedLeftMs ?? null);
  const checked = check === undefined ? 'off' : state.check;
  return {
    isUsable: ejectedMs === null && checked !== 'failing',
    ejectedMs,
    ejectedBy: ejectedMs === null ? '' : state.reason,
    ejections: outlier === undefined ? 0 : state.ejections,
    failuresInRow: outlier === undefined ? 0 : state.failures,
    check: checked,
    ageMs: state.ageMs,
  };
}

/** How full the limits of a backend are; undefined: its row is others' too, and each worker knows its own part only. */
export function loadView(source: AdminSource, { id, policy }: Backend, nowMs: number): LoadView | undefined {
  const row = source.backendRow(id);
  if (row < ROW_FIRST) return undefined;
  const { maxInFlight, queue, budget, breaker } = policy;
  const { inFlight, waiting, breakerLeftMs } = source.shared.backend(row, nowMs);
  return {
    inFlight,
    maxInFlight,
    waiting,
    maxWaiting: queue.length,
    breaker: breaker === undefined ? 'none' : breakerState(breakerLeftMs),
    breakerMs: breaker === undefined ? 0 : (breakerLeftMs ?? 0),
    retriesLeft: Math.max(0, Math.floor(source.shared.retriesLeft(row, budget, nowMs))),
  };
}

function breakerState(leftMs: number | undefined): LoadView['breaker'] {
  if (leftMs === undefined) return 'closed';
  return leftMs > 0 ? 'open' : 'half-open';
}
