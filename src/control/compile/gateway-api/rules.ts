import { shown } from '../../../lib/shown.ts';
import type { RouteResource, RouteRule, WeightedRef } from '../../../model/route-resource.ts';
import { type Rule, type RuleSource, ROUTING_LIMITS, type Target } from '../../../model/routing.ts';
import { placeOf } from '../../../model/problem.ts';
import { objectName } from '../../../model/resource.ts';
import { editsAfter, requestEditsAfter } from '../header-rules.ts';
import type { Refs } from '../refs.ts';
import { retryOf, timeoutsOf } from './attempts.ts';
import { type Filters, readFilters } from './filters.ts';
import { Findings } from './findings.ts';
import { grpcMatches, httpMatches, type RankedMatch } from './matches.ts';
import { sessionOf } from './session.ts';
import { destinationOf, type Reading } from './targets.ts';

/** What one rule of a route comes to; with refusals it cannot be obeyed. */
export interface ReadRule {
  readonly rule: Rule;
  readonly matches: readonly RankedMatch[];
  readonly findings: Findings;
}

export function readRule(route: RouteResource, written: RouteRule, index: number, refs: Refs): ReadRule {
  const findings = new Findings();
  const reading = { route, refs, findings };
  const at = `spec.rules[${index}]`;
  const matches = (route.kind === 'GRPCRoute' ? grpcMatches : httpMatches)(written, at, findings);
  const filters = readFilters(written.filters, { at: `${at}.filters`, of: 'rule', matches }, reading);
  const targets = targetsOf(written, { at, matches, filters }, reading);
  const session =
    written.sessionPersistence &&
    sessionOf(
      written.sessionPersistence,
      { field: `${at}.sessionPersistence`, rule: `${routeName(route)} ${written.name || index}`, matches },
      findings,
    );
  const fails = filters.failsBy !== undefined;
  const rule = {
    source: sourceOf(route, written, at),
    cors: fails ? undefined : filters.cors,
    redirect: fails ? undefined : filters.redirect,
    mirrors: fails ? [] : filters.mirrors,
    targets: fails ? [unknownFilter(filters.failsBy)] : targets,
    response: filters.response,
    session,
    timeouts: timeoutsOf(written, at, findings),
    retry: retryOf(written, at, findings),
  };
  return { rule, matches, findings };
}

export function routeName(route: RouteResource): string {
  return objectName(route.kind, route);
}

function sourceOf(route: RouteResource, { name }: RouteRule, field: string): RuleSource {
  return { object: routeName(route), field, name, ...placeOf(field, route.origin) };
}

interface TargetsPosition {
  readonly at: string;
  readonly matches: readonly RankedMatch[];
  /** Of the rule. */
  readonly filters: Filters;
}

function targetsOf({ backendRefs }: RouteRule, position: TargetsPosition, reading: Reading): readonly Target[] {
  const { at, filters } = position;
  const field = `${at}.backendRefs`;
  const hasRedirect = filters.redirect !== undefined;
  if (hasRedirect && backendRefs.length > 0) {
    reading.findings.refuse(field, { expected: 'none beside a RequestRedirect', got: 'a list' });
  } else if (!hasRedirect && backendRefs.length === 0) {
    const expected = 'a backend, or a RequestRedirect among the filters (until then its requests fail with 500)';
    reading.findings.hint(field, { expected, got: 'none' });
  } else if (backendRefs.length > ROUTING_LIMITS.targets) {
    reading.findings.refuse(field, { expected: `at most ${ROUTING_LIMITS.targets}`, got: `${backendRefs.length}` });
    return [];
  }
  return backendRefs.map((ref, index) => targetOf(ref, `${field}[${index}]`, position, reading));
}

/** The edits of the rule come before those of the backendRef, of which so the second holds. */
function targetOf(ref: WeightedRef, field: string, { matches, filters }: TargetsPosition, reading: Reading): Target {
  const { weight } = ref;
  if (!Number.isInteger(weight) || weight < 0 || weight > ROUTING_LIMITS.weight) {
    const expected = `a whole number from 0 to ${ROUTING_LIMITS.weight}`;
    reading.findings.refuse(`${field}.weight`, { expected, got: shown(weight) });
  }
  const own = readFilters(ref.filters, { at: `${field}.filters`, of: 'backendRef', matches }, reading);
  const destination = destinationOf(ref, field, reading);
  const { backend, reason } = own.failsBy === undefined ? destination : unknownFilter(own.failsBy);
  return {
    ...destination,
    backend,
    reason,
    weight,
    request: requestEditsAfter(filters.request, own.request),
    response: editsAfter(filters.response, own.response),
  };
}

/** Where requests go that a filter would have changed which nobody knows. */
function unknownFilter(field: string): Target {
  const reason = 'ExtensionRef names a filter that this mesh does not have';
  return {
    field,
    name: 'ExtensionRef',
    backend: undefined,
    reason,
    weight: 1,
    request: undefined,
    response: undefined,
  };
}
