import { sameItems } from '../../lib/same-items.ts';
import { unchangedList } from '../../lib/unchanged.ts';
import type { Problem } from '../../model/problem.ts';
import type { RouteResource } from '../../model/route-resource.ts';
import type { Routing, RouteStatus } from '../../model/routing.ts';
import { objectKey } from '../../model/snapshot.ts';
import { type CompiledRoute, compileRoute, type RouteRules } from './gateway-api/route.ts';
import { routeName } from './gateway-api/rules.ts';
import { tellRoute, type ToldRoute } from './gateway-api/statuses.ts';
import { type Loss, type PortTables, portTables } from './gateway-api/tables.ts';
import type { Asked, Refs } from './refs.ts';

/** A Service that routes may be attached to: enabled, with those of its ports that are in the mesh. */
export interface Parent {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly { readonly port: number; readonly name: string }[];
}

export interface GatewayResources {
  readonly httpRoutes: readonly RouteResource[];
  readonly grpcRoutes: readonly RouteResource[];
}

/** What the routes of Gateway API compile to; given to the next time, so that what is the same is not compiled again. */
export interface GatewayRoutes {
  /** By `namespace/name` of the parent, then by port. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<number, Pick<Routing, 'all' | 'consumers'>>>;
  /** Of routes with a parent that is ours. Sorted by object. */
  readonly statuses: readonly RouteStatus[];
  readonly problems: readonly (readonly Problem[])[];
  /** What the rules in force lean on. */
  readonly asked: readonly Asked[];
  /** Of `compileGatewayRoutes` alone. */
  readonly memo: Memo;
}

export interface GatewayContext {
  /** Undefined: no such Service is in the mesh. The same object as long as it says the same. */
  readonly parentOf: (namespace: string, name: string) => Parent | undefined;
  /** That notes what it is asked. */
  readonly asking: () => Refs & { readonly asked: readonly Asked[] };
  /** Would each question be answered the same now? */
  readonly holds: (asked: readonly Asked[]) => boolean;
}

interface Memo {
  readonly compiled: readonly CompiledRoute[];
  /** Of the same routes, in the same order. */
  readonly told: readonly ToldRoute[];
  /** By `namespace/name`. */
  readonly parents: ReadonlyMap<string, ParentTables>;
}

/** What the routes of one parent come to, by port. */
interface ParentTables {
  readonly ports: ReadonlyMap<number, PortTables>;
  /** Of the ports on which a route is in force. */
  readonly tables: ReadonlyMap<number, PortTables['tables']>;
}

/**
 * Compiles HTTPRoutes and GRPCRoutes whose parents are Services (GEP-1294). Pure, and it never throws for what users write. A rule
 * with a value that cannot be obeyed is dropped, and the rest of its route holds: the API has a condition for that, and the other
 * way that it knows, falling back to what held before, needs a memory that outlives a restart. A reference that leads nowhere
 * costs its share. A route that is the same object (===) as before, with the same parents and answers, is not compiled again; what
 * comes out equal is the same object as before.
 */
export function compileGatewayRoutes(
  { httpRoutes, grpcRoutes }: GatewayResources,
  context: GatewayContext,
  before: GatewayRoutes | undefined,
): GatewayRoutes {
  const known = knownBy(before?.memo.compiled, ({ object }) => object);
  const compiled = [...grpcRoutes, ...httpRoutes].map((route, index) =>
    compileRoute(route, context, known(routeName(route), index)),
  );
  if (before !== undefined && sameItems(compiled, before.memo.compiled)) return before;
  const parents = tablesOf(compiled, before?.memo.parents);
  const told = tellAll(compiled, parents, before?.memo.told);
  const ours = told.filter(({ status }) => status.parents.length > 0);
  const statuses = ours.map(({ status }) => status).toSorted((a, b) => (a.object < b.object ? -1 : 1));
  const tables = [...parents].map(([parent, one]) => [parent, one.tables] as const);
  return {
    tables: new Map(tables.filter(([, ofParent]) => ofParent.size > 0)),
    statuses: unchangedList(statuses, before?.statuses),
    problems: told.map(({ problems }) => problems),
    asked: unchangedList(
      ours.flatMap((one) => (isInForce(one) ? one.compiled.asked : [])),
      before?.asked,
    ),
    memo: { compiled, told, parents },
  };
}

/** Finds what was there before by its name: at its place, where most are, else in an index that the first of the others makes. */
function knownBy<T>(
  before: readonly T[] | undefined,
  nameOf: (one: T) => string,
): (name: string, index: number) => T | undefined {
  let byName: ReadonlyMap<string, T> | undefined;
  return (name, index) => {
    const there = before?.[index];
    if (there !== undefined && nameOf(there) === name) return there;
    byName ??= new Map(before?.map((one) => [nameOf(one), one]));
    return byName.get(name);
  };
}

function tablesOf(compiled: readonly CompiledRoute[], before: Memo['parents'] | undefined): Memo['parents'] {
  const members = new Map<Parent, Map<number, RouteRules[]>>();
  for (const { attachments, rules } of compiled) {
    if (rules === undefined) continue;
    for (const { parent, ports } of attachments) {
      let ofParent = members.get(parent);
      if (ofParent === undefined) members.set(parent, (ofParent = new Map()));
      for (const port of ports) {
        const ofPort = ofParent.get(port);
        if (ofPort === undefined) ofParent.set(port, [rules]);
        // Several parentRefs of a route may mean one port.
        else if (ofPort.at(-1) !== rules) ofPort.push(rules);
      }
    }
  }
  return new Map(
    [...members].map(([parent, ofPorts]) => {
      const key = objectKey(parent);
      return [key, parentTables(parent, ofPorts, before?.get(key))];
    }),
  );
}

function parentTables(
  parent: Parent,
  members: ReadonlyMap<number, readonly RouteRules[]>,
  before: ParentTables | undefined,
): ParentTables {
  const ports: (readonly [port: number, tables: PortTables])[] = [];
  let last: PortTables | undefined;
  for (const [port, routes] of members) {
    // Most routes name no port, and stand alike on all of them.
    const isAlike = last !== undefined && sameItems(last.members, routes);
    last = isAlike ? last! : portTables(routes, parent, before?.ports.get(port));
    ports.push([port, last]);
  }
  if (ports.length === before?.ports.size && ports.every(([port, one]) => before.ports.get(port) === one))
    return before;
  const held = ports.filter(([, one]) => one.losses.size < one.members.length);
  return { ports: new Map(ports), tables: new Map(held.map(([port, { tables }]) => [port, tables])) };
}

function tellAll(
  compiled: readonly CompiledRoute[],
  parents: Memo['parents'],
  before: Memo['told'] | undefined,
): Memo['told'] {
  const isLosing = [...parents.values()].some(({ ports }) => [...ports.values()].some(({ losses }) => losses.size > 0));
  const known = knownBy(before, (one) => one.compiled.object);
  return compiled.map((one, index) => {
    const losses = isLosing ? lossesOf(one, parents) : NO_LOSSES;
    return tellRoute(one, losses, known(one.object, index));
  });
}

/** For each port of each attachment, in order. */
function lossesOf({ attachments, rules }: CompiledRoute, parents: Memo['parents']): readonly (Loss | undefined)[] {
  const losses = attachments.flatMap(({ parent, ports }) => {
    const ofParent = parents.get(objectKey(parent));
    return ports.map((port) => rules && ofParent?.ports.get(port)?.losses.get(rules));
  });
  return losses.some((loss) => loss !== undefined) ? losses : NO_LOSSES;
}
const NO_LOSSES: readonly undefined[] = [];

/** On one port at least. */
function isInForce({ compiled: { attachments, rules }, losses }: ToldRoute): boolean {
  if (rules === undefined) return false;
  if (losses.length > 0) return losses.includes(undefined);
  return attachments.some(({ ports }) => ports.length > 0);
}
