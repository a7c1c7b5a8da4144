import { authoritiesOf, type Frontend, objectKey, type Snapshot } from '../model/snapshot.ts';
import { parseIp } from '../lib/ip.ts';
import { AuthorityTable } from './route/authority-table.ts';
import type { Head } from './http.ts';

export { LiveMirror, LiveRequestEdits, LiveRouting, LiveRule, LiveTable, LiveTarget } from './route/live-routing.ts';
export { RequestFields } from './route/match-fields.ts';
export type { Misfit } from './route/matcher.ts';
export { type RetryTerms, type Terms, termsOf, type TermsSettings, type Wishes } from './route/terms.ts';

/** A Service has three names and mostly one address. */
const NAMES_OF_FRONTEND = 4;

/** Finds the Service that a request means: by its authority, or by name. Immutable, built once per generation. */
export class FrontendTable {
  readonly #authorities: AuthorityTable;
  readonly #addresses = new Map<string, Frontend>();
  readonly #names = new Map<string, Frontend>();

  constructor({ frontends, clusterDomain }: Pick<Snapshot, 'frontends' | 'clusterDomain'>) {
    this.#authorities = new AuthorityTable(NAMES_OF_FRONTEND * frontends.length);
    for (const frontend of frontends) {
      this.#names.set(objectKey(frontend), frontend);
      for (const authority of authoritiesOf(frontend, clusterDomain)) this.#authorities.add(authority, frontend);
      for (const address of frontend.clusterIps) {
        this.#authorities.add(address, frontend);
        this.#addresses.set(address, frontend);
      }
    }
  }

  /** The Service that the authority of this head names, enabled or not. */
  byAuthority(head: Head): Frontend | undefined {
    const { ipv6, hostStart, hostEnd } = head.authority;
    // One IPv6 address has many spellings (RFC 5952); ClusterIPs are kept in the canonical one.
    return ipv6
      ? this.#addresses.get(parseIp(head.text(hostStart, hostEnd))?.address ?? '')
      : this.#authorities.find(head);
  }

  byName(namespace: string, name: string): Frontend | undefined {
    return this.#names.get(`${namespace}/${name}`);
  }
}
