import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import {
  type Entry,
  type FieldMatch,
  type FrontendPolicy,
  type Match,
  NO_DEEDS,
  type PathMatch,
  type Routing,
  type Rule,
  type RuleTable,
  type Target,
} from '../../src/model/routing.ts';
import type { Backend, BackendId, Frontend, Workload } from '../../src/model/snapshot.ts';
import type { Directory } from '../../src/proxy/decide.ts';
import { FrontendTable, LiveRouting } from '../../src/proxy/route.ts';
import { settingsOf } from '../harness/settings.ts';

// Plans with rules, made by hand: what compile would make of them is its own affair.

export const ROUTE = 'HTTPRoute shop/orders';

/** Everything that a test does not name is as in a rule that wishes nothing. */
export function rule(index: number, wishes: Partial<Rule> = {}): Rule {
  return {
    source: { object: ROUTE, field: `spec.rules[${index}]`, name: '' },
    ...NO_DEEDS,
    ...wishes,
  };
}

/** A share of `shop/<name>:80`. */
export function target(name: string, weight: number, wishes: Partial<Target> = {}): Target {
  return {
    field: 'spec.rules[0].backendRefs[0]',
    name: `Service shop/${name}:80`,
    backend: `shop/${name}:80` as BackendId,
    reason: '',
    weight,
    request: undefined,
    response: undefined,
    ...wishes,
  };
}

/** `prefix /cart`, `exact /old` */
export function pathOf(text: string): PathMatch {
  const [type, value] = text.split(' ') as [PathMatch['type'], string];
  return { type, value };
}

export function entry(ruleIndex: number, path: string, { methods = [], fields = [] }: Partial<Match> = {}): Entry {
  const match = { path: path === '' ? undefined : pathOf(path), methods, fields };
  return { match, rule: ruleIndex, field: `spec.rules[${ruleIndex}].matches[0]` };
}

export function header(name: string, value: string): FieldMatch {
  return { of: 'header', name, type: 'exact', value };
}

export function table(rules: readonly Rule[], entries: readonly Entry[], wishes: Partial<RuleTable> = {}): RuleTable {
  return { protocol: 'http', rules, entries, unmatched: 'refuse', ...wishes };
}

export const SETTINGS = settingsOf();

export interface Ruled {
  readonly all?: RuleTable;
  readonly consumers?: Readonly<Record<string, RuleTable>>;
  readonly policy?: FrontendPolicy;
  /** Of orders; others have one. */
  readonly endpoints?: readonly string[];
  readonly backend?: Partial<Backend>;
  readonly workloads?: readonly Workload[];
}

/** Services `orders`, `orders-v2` and `off` (not enabled) of namespace `shop`, and the rules of the first. */
export function directoryOf({
  all,
  consumers = {},
  policy,
  endpoints,
  backend = {},
  workloads = [],
}: Ruled): Directory {
  const orders = 'shop/orders:80' as BackendId;
  const frontends = [frontend('orders', true), frontend('orders-v2', true), frontend('off', false)];
  const routing: Routing = { id: orders, policy, consumers, all };
  const isPlain = all === undefined && policy === undefined && Object.keys(consumers).length === 0;
  const backends = [
    { ...backendOf('orders', endpoints ?? ['10.0.0.1', '10.0.0.2']), ...backend },
    backendOf('orders-v2', ['10.0.0.3']),
  ];
  return {
    frontends: new FrontendTable({ frontends, clusterDomain: 'cluster.local' }),
    workloads: new Map(workloads.map((one) => [one.address, one])),
    routings: new Map(isPlain ? [] : [[orders, new LiveRouting(routing, SETTINGS)]]),
    backends: new Map(backends.map((one) => [one.id, { backend: one }])),
  };
}

function frontend(name: string, enabled: boolean): Frontend {
  const backend = `shop/${name}:80` as BackendId;
  const ports = enabled ? [{ port: 80, name: 'http', backend, targetPorts: [] }] : [];
  return { namespace: 'shop', name, enabled, clusterIps: [], ports };
}

function backendOf(name: string, addresses: readonly string[]): Backend {
  return {
    id: `shop/${name}:80` as BackendId,
    namespace: 'shop',
    name,
    port: 80,
    policy: DEFAULT_BACKEND_POLICY,
    endpoints: addresses.map((address) => ({ address, port: 8080, tier: 0 })),
    subject: undefined,
    session: undefined,
  };
}

export function workload(address: string, namespace: string, serviceAccount = 'default'): Workload {
  return { address, namespace, name: 'web-1', serviceAccount, labels: {} };
}
