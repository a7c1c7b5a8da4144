import { sameItems } from '../../../lib/same-items.ts';
import { objectName } from '../../../model/resource.ts';
import type { Entry, Routing, RuleTable } from '../../../model/routing.ts';
import type { Parent } from '../gateway-api.ts';
import { type PortLimits, portLimits } from '../port-limits.ts';
import type { RouteRules, RuleMatch } from './route.ts';

/** What the routes of one port come to. */
export interface PortTables {
  /** The routes it was made of, as they came. */
  readonly members: readonly RouteRules[];
  readonly limits: PortLimits;
  readonly tables: Pick<Routing, 'all' | 'consumers'>;
  /** Routes that are not in force on this port. */
  readonly losses: ReadonlyMap<RouteRules, Loss>;
}

/** Why a route is not in force on a port. */
export interface Loss {
  readonly reason: 'Conflicted' | 'UnsupportedValue';
  readonly expected: string;
  readonly got: string;
}

/**
 * Makes the tables of a port. Routes of the namespace of its Service are for all clients; those of another one are for clients
 * there, in place of these (GEP-1294, Namespace boundaries). Each such group is by itself: what is merged, what conflicts, and what
 * there is room for, so that nobody takes any of it away from the clients of another namespace.
 */
export function portTables(
  members: readonly RouteRules[],
  { namespace, ports }: Parent,
  before: PortTables | undefined,
): PortTables {
  const limits = portLimits(ports.length);
  const isSame = before?.limits.entries === limits.entries && before.limits.regexWidth === limits.regexWidth;
  if (isSame && sameItems(before.members, members)) return before;
  const losses = new Map<RouteRules, Loss>();
  const held = new Map<string, RuleTable>();
  for (const [of, some] of Map.groupBy(members, (route) => route.namespace)) {
    const group = some.toSorted(byAge);
    noteConflicts(group, losses);
    noteLimits(group, limits, losses);
    const known = of === namespace ? before?.tables.all : before?.tables.consumers[of];
    const routes = group.filter((route) => !losses.has(route));
    if (routes.length > 0) held.set(of, tableOf(routes, known));
  }
  const all = held.get(namespace);
  held.delete(namespace);
  const tables = sameTables({ all, consumers: Object.fromEntries(held) }, before?.tables);
  return { members, limits, tables, losses };
}

function sameTables(now: PortTables['tables'], before: PortTables['tables'] | undefined): PortTables['tables'] {
  if (before === undefined || now.all !== before.all) return now;
  const [names, known] = [Object.keys(now.consumers), Object.keys(before.consumers)];
  const isSame = names.length === known.length && names.every((name) => now.consumers[name] === before.consumers[name]);
  return isSame ? before : now;
}

/** HTTPRouteRule.matches: the oldest first, then by name. @param a and b are of one namespace. */
function byAge(a: RouteRules, b: RouteRules): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

/** GEP-1294, Route types: of kinds that meet on a port only one holds, GRPCRoute before HTTPRoute. */
function noteConflicts(group: readonly RouteRules[], losses: Map<RouteRules, Loss>): void {
  const winner = group.find(({ kind }) => kind === 'GRPCRoute');
  if (winner === undefined) return;
  for (const route of group) {
    if (route.kind === 'GRPCRoute') continue;
    const expected = 'a port on which no GRPCRoute stands, which goes before an HTTPRoute';
    losses.set(route, { reason: 'Conflicted', expected, got: objectName(winner.kind, winner) });
  }
}

/** The youngest are left out: what holds goes on to hold when others come. */
function noteLimits(group: readonly RouteRules[], limits: PortLimits, losses: Map<RouteRules, Loss>): void {
  let entries = 0;
  let width = 0;
  for (const route of group) {
    if (losses.has(route)) continue;
    const hasRoom = entries + route.matches.length <= limits.entries && width + route.regexWidth <= limits.regexWidth;
    if (hasRoom) {
      entries += route.matches.length;
      width += route.regexWidth;
      continue;
    }
    const expected = `at most ${limits.entries} matches and regular expressions of a total width of ${limits.regexWidth} on one port, over all routes`;
    const got = `${entries} and ${width} of older routes, ${route.matches.length} and ${route.regexWidth} of this one`;
    losses.set(route, { reason: 'UnsupportedValue', expected, got });
  }
}

/** @param routes of one kind, by age; one or more. */
function tableOf(routes: readonly RouteRules[], before: RuleTable | undefined): RuleTable {
  const matches: RuleMatch[] = [];
  let offset = 0;
  for (const route of routes) {
    for (const { match, field, rank, rule } of route.matches) matches.push({ match, field, rank, rule: offset + rule });
    offset += route.rules.length;
  }
  // Sorting is stable: what is equal in rank stays in order of age, then of rules and matches.
  matches.sort(byRank);
  const rules = routes.flatMap((route) => route.rules);
  const protocol = routes[0]!.kind === 'GRPCRoute' ? 'grpc' : 'http';
  const isSame =
    before?.protocol === protocol &&
    sameItems(before.rules, rules) &&
    before.entries.length === matches.length &&
    before.entries.every((entry, index) => isEntryOf(entry, matches[index]!));
  if (isSame) return before;
  const entries = matches.map(({ match, rule, field }) => ({ match, rule, field }));
  return { protocol, rules, entries, unmatched: 'refuse' };
}

function isEntryOf(entry: Entry, { match, rule, field }: RuleMatch): boolean {
  return entry.match === match && entry.rule === rule && entry.field === field;
}

function byRank({ rank: a }: RuleMatch, { rank: b }: RuleMatch): number {
  for (let index = 0; index < a.length; index++) {
    const difference = b[index]! - a[index]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
