import { harmless } from '../../lib/shown.ts';
import type { BridgeLinkView } from '../../model/admin.ts';

/**
 * How the links to the broker are, in a line: `up, nats-1 2.15.2`, `lost in 1 of 2 workers (connection refused), up in 1 of 2
 * workers`, `off, --nats-url is not set`.
 */
export function linkText(links: readonly BridgeLinkView[]): string {
  const byState = Map.groupBy(links, stateText);
  if (byState.size === 1) return [...byState.keys()][0]!;
  return [...byState].map(([text, some]) => `${text} in ${some.length} of ${links.length} workers`).join('; ');
}

function stateText({ state, server, error }: BridgeLinkView): string {
  if (state === 'off') return 'off, --nats-url is not set';
  if (state === 'up') return server === null ? 'up' : harmless(`up, ${server.name} ${server.version}`);
  if (state === 'unknown') return 'not known yet';
  return error === '' ? state : harmless(`${state} (${error})`);
}
