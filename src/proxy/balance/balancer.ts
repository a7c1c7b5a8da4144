import type { LiveEndpoint } from '../upstream.ts';

/**
 * One way to choose among endpoints, which are all usable: who is not is not among them. Made anew when they change; picking never
 * allocates.
 */
export interface Balancer {
  /**
   * Undefined: there is none at all.
   * @param hash of what keeps requests together (`KeyReader`), for those who go by it.
   * @param tried endpoints at which this exchange has failed: one of them is taken only when there is no other.
   */
  pick(hash: number, nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined;
}

/** The first that was not tried, from this place on and going round; without any the one at this place. */
export function untriedFrom(
  endpoints: readonly LiveEndpoint[],
  place: number,
  tried: readonly LiveEndpoint[],
): LiveEndpoint | undefined {
  const count = endpoints.length;
  for (let at = place; at < place + count; at++) {
    const endpoint = endpoints[at % count]!;
    if (!tried.includes(endpoint)) return endpoint;
  }
  return endpoints[place];
}
