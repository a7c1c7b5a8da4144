import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import type { RetryWishes } from '../../model/resilience.ts';
import type { Service } from '../../model/resource.ts';
import type { Match, Routing, RuleTable } from '../../model/routing.ts';
import type { Key } from './annotation-keys.ts';
import { AnnotationReading } from './annotation-reading.ts';
import { ENDPOINT_KEYS } from './backend-annotations.ts';
import { annotationField } from './mismatches.ts';

// Annotations that are right by themselves, and change nothing beside the others and the rules of their Service.

const RETRY_KEYS = {
  'retry-on': 'on',
  'retry-methods': 'methods',
  'retry-backoff': 'backoff',
  'retry-body-max': 'bodyMax',
} as const satisfies Partial<Record<Key, keyof RetryWishes>>;

/** How retries are made, where none is. @param routed what Gateway API says of each port: a rule there may ask for some. */
export function idleRetryKeys(
  service: Service,
  retry: RetryWishes | undefined,
  routed: readonly Pick<Routing, 'all' | 'consumers'>[],
): readonly Mismatch[] {
  if (retry?.retries !== 0) return [];
  if (routed.some(({ all, consumers }) => [all, ...Object.values(consumers)].some(asksForRetries))) return [];
  const reading = new AnnotationReading(service);
  const none = reading.find('retry-attempts')!;
  const expected = 'a retry-attempts beside it that allows a retry (nothing is tried again without)';
  return Object.entries(RETRY_KEYS).flatMap(([name, wish]) => {
    if (retry[wish] === undefined) return [];
    const { key } = reading.find(name as keyof typeof RETRY_KEYS)!;
    return [{ field: annotationField(key), expected, got: `${none.key}: ${shown(none.value)}` }];
  });
}

function asksForRetries(table: RuleTable | undefined): boolean {
  return table?.rules.some((rule) => rule.retry?.retries !== undefined) === true;
}

/** What is said of endpoints that no rule of their own Service leads to. What rules of others lead there is not known here. */
export function idleBackendKeys(service: Service): readonly Mismatch[] {
  const reading = new AnnotationReading(service);
  // Of one that a subject serves they are told already.
  if (reading.find('backend') !== undefined) return [];
  const expected = 'a rule that sends requests to the endpoints of this Service (none does: only tunnels come here)';
  return ENDPOINT_KEYS.flatMap((name) => {
    const found = reading.find(name);
    return found === undefined ? [] : [{ field: annotationField(found.key), expected, got: shown(found.value) }];
  });
}

/** Whether no request to this port comes to its own backend by these rules. A tunnel does: rules are not about it. */
export function leadsAway({ id, all }: Routing): boolean {
  if (all === undefined) return false;
  const isForAll = all.unmatched === 'refuse' || all.entries.some(({ match }) => fitsAll(match));
  return isForAll && all.rules.every(({ targets }) => targets.every(({ backend }) => backend !== id));
}

function fitsAll({ path, methods, fields }: Match): boolean {
  return path === undefined && methods.length === 0 && fields.length === 0;
}
