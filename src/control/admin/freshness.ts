import { harmless } from '../../lib/shown.ts';
import type { DiscoveryAnswer, KindView } from '../../model/admin.ts';

/**
 * How fresh the resources are, in a line: `fresh`, `stale for 95 s: Service, EndpointSlice (connection refused)`, `from the
 * snapshot file of 12:03:04Z`.
 */
export function freshnessText({ fresh, snapshotTime, kinds }: DiscoveryAnswer): string {
  if (fresh) return 'fresh';
  const behind = kinds.filter(({ state }) => state !== 'live' && state !== 'absent');
  const reasons = behind.length === 0 ? '' : `: ${reasonsText(behind)}`;
  if (snapshotTime !== null)
    return `from the snapshot file of ${new Date(snapshotTime).toISOString().slice(11, 19)}Z${reasons}`;
  const stale = behind.filter(({ state }) => state !== 'starting');
  if (stale.length === 0) return behind.length === 0 ? 'stale' : `not read yet${reasons}`;
  const silentMs = Math.max(...stale.map((kind) => kind.silentMs ?? 0));
  return `stale for ${Math.round(silentMs / 1000)} s${reasons}`;
}

/** Kinds with the same reason together. */
function reasonsText(kinds: readonly KindView[]): string {
  const byReason = Map.groupBy(kinds, ({ state, error }) => harmless(error ?? state));
  return [...byReason].map(([reason, some]) => `${some.map(({ kind }) => kind).join(', ')} (${reason})`).join('; ');
}
