import { shown } from '../../../lib/shown.ts';
import { unchanged } from '../../../lib/unchanged.ts';
import type { Mismatch } from '../../../model/problem.ts';
import type { RouteResource } from '../../../model/route-resource.ts';
import type { Rule } from '../../../model/routing.ts';
import type { GatewayContext } from '../gateway-api.ts';
import type { Asked } from '../refs.ts';
import { type Attachment, attachmentsOf } from './attach.ts';
import type { Refusal, Unresolved } from './findings.ts';
import { regexWidthOf } from '../regexes.ts';
import type { RankedMatch } from './matches.ts';
import { readRule, routeName } from './rules.ts';
import { isService } from './targets.ts';

/** What a route comes to by itself; which of it is in force, others have a say in. */
export interface CompiledRoute {
  /** `HTTPRoute shop/orders` */
  readonly object: string;
  readonly route: RouteResource;
  /** Without one the route is nobody's business here, and the rest is empty, but for hints about its parents. */
  readonly attachments: readonly Attachment[];
  /** Undefined: nothing of it can be obeyed, and it owns nothing. */
  readonly rules: RouteRules | undefined;
  /** Indexes of the rules that cannot be obeyed. */
  readonly dropped: readonly number[];
  readonly refusals: readonly Refusal[];
  readonly unresolved: readonly Unresolved[];
  readonly hints: readonly Mismatch[];
  readonly asked: readonly Asked[];
}

/** All of a route that tables are made of. What is the same as before in it is the same object. */
export interface RouteRules extends Pick<RouteResource, 'kind' | 'namespace' | 'name' | 'created'> {
  readonly rules: readonly Rule[];
  /** In the order of the route. */
  readonly matches: readonly RuleMatch[];
  readonly regexWidth: number;
}

export interface RuleMatch extends RankedMatch {
  /** Index of `rules`. */
  readonly rule: number;
}

/** The same object as before while it would be the same. @param before of the route of that name. */
export function compileRoute(
  route: RouteResource,
  { parentOf, asking, holds }: GatewayContext,
  before: CompiledRoute | undefined,
): CompiledRoute {
  const isSame = before?.route === route;
  const attachments = attachmentsOf(route, parentOf, isSame ? before.attachments : undefined);
  if (isSame && attachments === before.attachments && holds(before.asked)) return before;
  const object = routeName(route);
  if (attachments.length === 0) {
    return {
      object,
      route,
      attachments,
      rules: undefined,
      dropped: [],
      refusals: [],
      unresolved: [],
      hints: parentHints(route),
      asked: [],
    };
  }
  const refs = asking();
  const read = route.rules.map((rule, index) => readRule(route, rule, index, refs));
  const good = read.filter(({ findings }) => findings.refusals.length === 0);
  return {
    object,
    route,
    attachments,
    rules: good.length === 0 && read.length > 0 ? undefined : rulesOf(route, good, before?.rules),
    dropped: [...read.keys()].filter((index) => read[index]!.findings.refusals.length > 0),
    refusals: read.flatMap(({ findings }) => findings.refusals),
    unresolved: read.flatMap(({ findings }) => findings.unresolved),
    hints: [...parentHints(route), ...hintsOf(route), ...read.flatMap(({ findings }) => findings.hints)],
    asked: unchanged(refs.asked, before?.asked),
  };
}

function rulesOf(
  { kind, namespace, name, created }: RouteResource,
  read: readonly { readonly rule: Rule; readonly matches: readonly RankedMatch[] }[],
  before: RouteRules | undefined,
): RouteRules {
  const rules = read.map(({ rule }, index) => unchanged(rule, before?.rules[index]));
  const matches = read
    .flatMap((one, rule) => one.matches.map((match) => ({ ...match, rule })))
    .map((match, index) => unchanged(match, before?.matches[index]));
  const width = matches.reduce((sum, { match }) => sum + regexWidthOf(match), 0);
  return unchanged({ kind, namespace, name, created, rules, matches, regexWidth: width }, before);
}

/** A Service in a group that has none: it is what a parentRef says that leaves its group out. */
function parentHints({ parentRefs }: RouteResource): readonly Mismatch[] {
  return parentRefs.flatMap((ref, index) => {
    if (ref.kind !== 'Service' || isService(ref)) return [];
    const expected =
      '"" where the kind is Service (left out, it is gateway.networking.k8s.io, and no Service is meant)';
    return [{ field: `spec.parentRefs[${index}].group`, expected, got: shown(ref.group) }];
  });
}

/** What harms nothing but is not as its author may think. */
function hintsOf({ kind, hostnames, rules }: RouteResource): readonly Mismatch[] {
  const hints: Mismatch[] = [];
  if (kind === 'GRPCRoute') {
    const expected = 'those of an HTTPRoute (gRPC is not yet carried, and what comes to the port is answered so)';
    hints.push({ field: 'spec.rules', expected, got: kind });
  }
  if (hostnames.length > 0) {
    // GEP-1294, hostnames field.
    const expected =
      'none on a route whose parent is a Service (they are not looked at; a match of the header host is)';
    hints.push({ field: 'spec.hostnames', expected, got: shown(hostnames[0]) });
  }
  const names = new Set<string>();
  for (const [index, { name }] of rules.entries()) {
    if (name !== '' && names.has(name)) {
      hints.push({ field: `spec.rules[${index}].name`, expected: 'a name that no other rule has', got: shown(name) });
    }
    names.add(name);
  }
  return hints;
}
