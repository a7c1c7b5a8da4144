import { BlockList } from 'node:net';
import type { Source } from '../../proxy/http.ts';
import type { NatsPolicy, PolicySource, Workload } from '../../model/snapshot.ts';
import type { Access, Grants } from '../access.ts';
import { NoLimits } from './open.ts';
import { LivePolicy, PolicyGrants } from './grants.ts';

/** Callers whose grants are kept: a node has some hundred pods, but anybody may come with addresses of his own. */
const CALLERS_MAX = 4096;

export interface PolicyAccessParts {
  /** Policies are not asked: everything is allowed but what is the server's or Heddle's own. */
  readonly open: boolean;
  /** Rates are of a node: each worker has its share. */
  readonly workers: number;
}

/** What policies say about callers, known by their addresses. */
export class PolicyAccess implements Access {
  readonly #parts: PolicyAccessParts;
  #policies: readonly Fit[] = [];
  #workloads: ReadonlyMap<string, Workload> = new Map();
  /** By address, until something changes. */
  readonly #grants = new Map<string, Grants>();

  constructor(parts: PolicyAccessParts) {
    this.#parts = parts;
  }

  /** A policy that is the same object as before keeps what it counted. @param workloads by address. */
  update(policies: ReadonlyMap<string, NatsPolicy>, workloads: ReadonlyMap<string, Workload>): void {
    const before = new Map(this.#policies.map((fit) => [fit.live.rules, fit]));
    this.#policies = [...policies.values()]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((policy) => before.get(policy) ?? new Fit(policy, this.#parts.workers));
    this.#workloads = workloads;
    this.#grants.clear();
  }

  grantsOf({ address }: Source): Grants {
    const known = this.#grants.get(address);
    if (known !== undefined) return known;
    const workload = this.#workloads.get(address);
    const grants = this.#parts.open
      ? new NoLimits(workload)
      : new PolicyGrants(
          address,
          workload,
          this.#policies.filter((fit) => fit.fits(address, workload)).map(({ live }) => live),
        );
    if (this.#grants.size >= CALLERS_MAX) this.#grants.clear();
    this.#grants.set(address, grants);
    return grants;
  }
}

/** A policy, and whom it is for. */
class Fit {
  readonly live: LivePolicy;
  readonly #from: readonly { readonly source: PolicySource; readonly addresses: BlockList | undefined }[];

  constructor(policy: NatsPolicy, workers: number) {
    this.live = new LivePolicy(policy, workers);
    this.#from = policy.from.map((source) => ({ source, addresses: source.addresses && rangesOf(source.addresses) }));
  }

  fits(address: string, workload: Workload | undefined): boolean {
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    return this.#from.some(({ source: { namespaces, podLabels }, addresses }) => {
      if (addresses !== undefined && !addresses.check(address, family)) return false;
      if (namespaces !== undefined && (workload === undefined || !namespaces.includes(workload.namespace)))
        return false;
      return podLabels === undefined || (workload !== undefined && hasAll(workload.labels, podLabels));
    });
  }
}

function rangesOf(cidrs: NonNullable<PolicySource['addresses']>): BlockList {
  const ranges = new BlockList();
  for (const { address, prefix, family } of cidrs) ranges.addSubnet(address, prefix, family);
  return ranges;
}

function hasAll(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
}
