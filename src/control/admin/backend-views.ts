import { formatDuration } from '../../lib/duration.ts';
import type { BackendsAnswer, BackendView, EndpointsAnswer, EndpointView, LoadView } from '../../model/admin.ts';
import { policyLines } from '../../model/policy-text.ts';
import { type BackendPolicy, goesByHash } from '../../model/resilience.ts';
import { ROW_FIRST } from '../../model/rows.ts';
import { type Backend, endpointKey } from '../../model/snapshot.ts';
import type { Lazily } from './content.ts';
import { compare, type EndpointTotals, inOrder } from './series.ts';
import type { AdminSource } from './source.ts';
import { backendStanding, type BackendStanding, type EndpointStanding, GOOD_STANDING, loadView } from './standing.ts';
import { generationOf, isSelected, type Selection } from './views.ts';

/** A row that it shares with others tells nothing about this one. */
const NOTHING: EndpointTotals = {
  active: 0,
  connections: 0,
  idle: 0,
  waiting: 0,
  latencyMs: 0,
  attempts: 0,
  failures: 0,
  errors: 0,
};
/** The same of a backend. */
const NO_LOAD: Pick<LoadView, 'inFlight' | 'waiting' | 'breaker' | 'breakerMs' | 'retriesLeft'> = {
  inFlight: 0,
  waiting: 0,
  breaker: 'none',
  breakerMs: 0,
  retriesLeft: 0,
};

export function backendsView(source: AdminSource, selection: Selection): Lazily<BackendsAnswer> {
  return { generation: generationOf(source), backends: eachBackend(source, selection) };
}

function* eachBackend(source: AdminSource, selection: Selection): Generator<BackendView> {
  for (const backend of inOrder(source.snapshot?.backends ?? [])) {
    if (isSelected(backend, selection)) yield backendView(source, backend);
  }
}

function backendView(source: AdminSource, backend: Backend): BackendView {
  const { namespace, name, port, subject, endpoints, policy } = backend;
  const nowMs = performance.now();
  const { usable, panic } = backendStanding(source, backend, nowMs);
  const limits = { maxInFlight: policy.maxInFlight, maxWaiting: policy.queue.length };
  return {
    namespace,
    name,
    port,
    subject: subject?.template ?? '',
    endpointsUsed: endpoints.length,
    endpointsUsable: usable,
    panic,
    policy: wishesText(policy),
    ...(loadView(source, backend, nowMs) ?? { ...NO_LOAD, ...limits }),
  };
}

/** What somebody wished; the rest is as by default. */
function wishesText(policy: BackendPolicy): string {
  const wished = policyLines(policy).filter(({ isDefault }) => !isDefault);
  return wished.map(({ name, value }) => `${name} ${value}`).join('; ');
}

export function endpointsView(source: AdminSource, selection: Selection): Lazily<EndpointsAnswer> {
  return { generation: generationOf(source), endpoints: eachEndpoint(source, selection) };
}

function* eachEndpoint(source: AdminSource, selection: Selection): Generator<EndpointView> {
  for (const backend of inOrder(source.snapshot?.backends ?? [])) {
    if (isSelected(backend, selection)) yield* endpointsOf(source, backend);
  }
}

/** By address. */
export function* endpointsOf(source: AdminSource, backend: Backend): Generator<EndpointView> {
  const standing = backendStanding(source, backend, performance.now());
  const known = [
    ...backend.endpoints.map((one) => knownOf(source, backend, endpointKey(one), '', one.tier)),
    ...source.unused(backend.id).map(({ address, reason }) => knownOf(source, backend, address, reason, 0)),
  ];
  const attempts = known.reduce((sum, { totals }) => sum + totals.attempts, 0);
  for (const one of known.toSorted((a, b) => compare(a.address, b.address)))
    yield endpointView(backend, standing, one, attempts);
}

interface Known {
  readonly address: string;
  /** Why no traffic is meant for it; empty: some is. */
  readonly unused: string;
  readonly tier: number;
  readonly totals: EndpointTotals;
}

function knownOf(source: AdminSource, { id }: Backend, address: string, unused: string, tier: number): Known {
  const row = source.endpointRow(id, address);
  return { address, unused, tier, totals: row < ROW_FIRST ? NOTHING : source.meters.endpoint(row) };
}

/** @param attempts at all endpoints of the backend. */
function endpointView(
  { namespace, name, port, policy }: Backend,
  { endpoints, panic }: BackendStanding,
  { address, unused, tier, totals }: Known,
  attempts: number,
): EndpointView {
  const standing = endpoints.get(address) ?? GOOD_STANDING;
  const { isUsable, ejectedMs, ejectedBy, ejections, failuresInRow, check } = standing;
  return {
    namespace,
    name,
    port,
    address,
    state: unused !== '' ? 'unused' : isUsable ? 'used' : 'out',
    reason: unused === '' ? reasonText(standing, policy, panic) : unused,
    tier,
    ejectedMs,
    ejectedBy,
    ejections,
    failuresInRow,
    check,
    panic: panic && unused === '',
    share: attempts === 0 ? 0 : totals.attempts / attempts,
    active: totals.active,
    latencyMs: totals.latencyMs,
    attempts: totals.attempts,
    failures: totals.failures,
    errors: totals.errors,
    connections: totals.connections,
    connectionsIdle: totals.idle,
    waiting: totals.waiting,
  };
}

/** Why an endpoint gets nothing, or less than others; empty: neither. */
function reasonText(standing: EndpointStanding, policy: BackendPolicy, panic: boolean): string {
  const { isUsable, check, ejectedMs, ageMs } = standing;
  if (!isUsable) {
    const reasons = [
      ...(ejectedMs === null ? [] : [ejectionText(standing, ejectedMs)]),
      ...(check === 'failing' ? ['its health check fails'] : []),
    ];
    return `${reasons.join('; ')}${panic ? '; it gets traffic all the same: too few are usable' : ''}`;
  }
  const { slowStartMs } = policy.balance;
  // A hash means what it means, however new an endpoint is.
  if (ageMs === undefined || ageMs >= slowStartMs || goesByHash(policy.balance)) return '';
  return `new: its share grows for ${secondsText(slowStartMs - ageMs)} more`;
}

function ejectionText({ ejectedBy, ejections }: EndpointStanding, leftMs: number): string {
  const by = { 'consecutive': 'failures in a row', 'success-rate': 'too few good replies', '': 'its failures' }[
    ejectedBy
  ];
  const times = ejections > 1 ? `, ${ejections} times by now` : '';
  return `ejected by ${by}${times}: ${leftMs > 0 ? `${secondsText(leftMs)} more` : 'the next request may try it'}`;
}

/** Whole seconds, but for the last one. */
function secondsText(ms: number): string {
  return formatDuration(ms > 1000 ? Math.ceil(ms / 1000) * 1000 : Math.ceil(ms));
}
