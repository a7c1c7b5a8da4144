import type { LiveEndpoint } from '../upstream.ts';

/** One way to choose among endpoints. Made anew when they change; picking never allocates. */
export interface Balancer {
  /**
   * Undefined: there is none at all.
   * @param source hash of the client's address (`sourceHash`), for those who send one client to one endpoint.
   * @param except the endpoint that just failed this exchange: taken only when there is no other.
   */
  pick(source: number, nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined;
}
