import { shown } from '../../../lib/shown.ts';
import { unchanged } from '../../../lib/unchanged.ts';
import { sameItems } from '../../../lib/same-items.ts';
import type { Mismatch, Problem } from '../../../model/problem.ts';
import type { ParentStatus, RouteCondition, RouteStatus } from '../../../model/routing.ts';
import { problemsOf } from '../mismatches.ts';
import { portList } from '../service-ports.ts';
import type { Attachment } from './attach.ts';
import type { CompiledRoute } from './route.ts';
import type { Loss } from './tables.ts';

/** What became of a route, told. */
export interface ToldRoute {
  readonly compiled: CompiledRoute;
  readonly losses: readonly (Loss | undefined)[];
  readonly status: RouteStatus;
  readonly problems: readonly Problem[];
}

/** @param losses for each port of each attachment, in order; undefined, or beyond the end: it is in force there. */
export function tellRoute(
  compiled: CompiledRoute,
  losses: readonly (Loss | undefined)[],
  before: ToldRoute | undefined,
): ToldRoute {
  if (before?.compiled === compiled && sameItems(before.losses, losses)) return before;
  const { object, route, attachments, hints, refusals, unresolved } = compiled;
  const parents: ParentStatus[] = [];
  const mismatches: Mismatch[] = [...refusals, ...unresolved];
  let at = 0;
  for (const attachment of attachments) {
    const ofPorts = losses.slice(at, (at += attachment.ports.length));
    const { namespace, name, port, sectionName } = attachment.ref;
    parents.push({ namespace, name, port, sectionName, conditions: conditionsOf(compiled, attachment, ofPorts) });
    if (attachment.ports.length === 0) mismatches.push(noPort(attachment));
    const distinct = new Set(ofPorts.filter((loss) => loss !== undefined));
    for (const { expected, got } of distinct) mismatches.push({ field: attachment.field, expected, got });
  }
  const status = { object, generation: route.generation, parents };
  const problems = problemsOf(object, [...mismatches, ...hints], route.origin);
  return {
    compiled,
    losses,
    status: unchanged(status, before?.status),
    problems: unchanged(problems, before?.problems),
  };
}

function conditionsOf(
  compiled: CompiledRoute,
  attachment: Attachment,
  losses: readonly (Loss | undefined)[],
): readonly RouteCondition[] {
  const accepted = acceptedOf(compiled, attachment, losses);
  const { dropped, refusals } = compiled;
  // "MUST NOT be set if a Route is fully valid, fully invalid, or not accepted" (RouteConditionPartiallyInvalid).
  if (!accepted.status || dropped.length === 0) return [accepted, resolvedOf(compiled)];
  const message = `Dropped Rule ${dropped.join(', ')}: ${textOf(refusals)}`;
  const partially = { type: 'PartiallyInvalid', status: true, reason: refusals[0]!.reason, message } as const;
  return [accepted, resolvedOf(compiled), partially];
}

function acceptedOf(
  { route, rules, refusals }: CompiledRoute,
  attachment: Attachment,
  losses: readonly (Loss | undefined)[],
): RouteCondition {
  const { parent, ports } = attachment;
  if (ports.length === 0) return refused('NoMatchingParent', textOf([noPort(attachment)]));
  if (rules === undefined) return refused(refusals[0]!.reason, textOf(refusals));
  const lost = ports.filter((_, index) => losses[index] !== undefined);
  const loss = losses.find((one) => one !== undefined);
  const why = loss === undefined ? '' : `port ${listed(lost)}: expected ${loss.expected}, got ${loss.got}`;
  if (loss !== undefined && lost.length === ports.length) return refused(loss.reason, `Not in force on ${why}`);
  const held = ports.filter((_, index) => losses[index] === undefined);
  const clients = route.namespace === parent.namespace ? 'all clients' : `clients of namespace ${route.namespace}`;
  const message = `In force on port ${listed(held)} for ${clients}${why === '' ? '' : `; not on ${why}`}`;
  return { type: 'Accepted', status: true, reason: 'Accepted', message };
}

function listed(numbers: readonly number[]): string {
  return portList(numbers.map((port) => ({ port })));
}

function refused(reason: RouteCondition['reason'], message: string): RouteCondition {
  return { type: 'Accepted', status: false, reason, message };
}

function resolvedOf({ unresolved }: CompiledRoute): RouteCondition {
  const [first] = unresolved;
  if (first !== undefined) {
    return { type: 'ResolvedRefs', status: false, reason: first.reason, message: textOf(unresolved) };
  }
  return { type: 'ResolvedRefs', status: true, reason: 'ResolvedRefs', message: 'All backends are known' };
}

function noPort({ ref, field, parent }: Attachment): Mismatch {
  const { namespace, name, ports } = parent;
  const expected = `a port of Service ${namespace}/${name} that is in the mesh (${portList(ports) || 'it has none'})`;
  const wished = [
    ...(ref.port === 0 ? [] : [`${ref.port}`]),
    ...(ref.sectionName === '' ? [] : [shown(ref.sectionName)]),
  ];
  const part = ref.port !== 0 ? '.port' : ref.sectionName !== '' ? '.sectionName' : '';
  return { field: `${field}${part}`, expected, got: wished.join(' with the name ') || 'all of none' };
}

/** The first in words, and how many others there are: a condition's message is for people. */
function textOf([first, ...others]: readonly Mismatch[]): string {
  if (first === undefined) return '';
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  return `${first.field}: expected ${first.expected}, got ${first.got}${more}`;
}
