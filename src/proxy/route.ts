import { authoritiesOf, type Route, routeKey, type Snapshot } from '../model/snapshot.ts';
import { parseIp } from '../lib/ip.ts';
import { AuthorityTable } from './route/authority-table.ts';
import type { Head } from './http.ts';

/** A Service has three names and mostly one address. */
const NAMES_OF_ROUTE = 4;

/** Finds the Service that a request means: by its authority, or by name. Immutable, built once per generation. */
export class RouteTable {
  readonly #authorities: AuthorityTable;
  readonly #addresses = new Map<string, Route>();
  readonly #names = new Map<string, Route>();

  constructor({ routes, clusterDomain }: Pick<Snapshot, 'routes' | 'clusterDomain'>) {
    this.#authorities = new AuthorityTable(NAMES_OF_ROUTE * routes.length);
    for (const route of routes) {
      this.#names.set(routeKey(route), route);
      for (const authority of authoritiesOf(route, clusterDomain)) this.#authorities.add(authority, route);
      for (const address of route.clusterIps) {
        this.#authorities.add(address, route);
        this.#addresses.set(address, route);
      }
    }
  }

  /** The Service that the authority of this head names, enabled or not. */
  byAuthority(head: Head): Route | undefined {
    const { ipv6, hostStart, hostEnd } = head.authority;
    // One IPv6 address has many spellings (RFC 5952); ClusterIPs are kept in the canonical one.
    return ipv6
      ? this.#addresses.get(parseIp(head.text(hostStart, hostEnd))?.address ?? '')
      : this.#authorities.find(head);
  }

  byName(namespace: string, name: string): Route | undefined {
    return this.#names.get(`${namespace}/${name}`);
  }
}
