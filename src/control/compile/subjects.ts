import { shown } from '../../lib/shown.ts';
import { parseTemplate, SUBJECT_TEMPLATE } from '../../lib/template.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, type EndpointSlice, type Service } from '../../model/resource.ts';
import type { SubjectTarget } from '../../model/snapshot.ts';
import type { BackendWishes } from './annotations.ts';
import { type MessageRules, mismatchOf, NO_BROKER, refusedUse } from './message-rules.ts';
import { annotationField } from './mismatches.ts';

const BACKEND = `${ANNOTATION_PREFIX}backend`;
const FIELD = annotationField(BACKEND);
const SUBSCRIBE = `${ANNOTATION_PREFIX}nats-subscribe`;

/** Whether it makes a difference to a Service what policies say. */
export function isAboutMessages({ annotations }: Service): boolean {
  return annotations[BACKEND] !== undefined || annotations[SUBSCRIBE] !== undefined;
}

/**
 * Whether the subject that a Service wishes for may serve it. Where there is no broker it is told, and yet the subject serves it:
 * then clients are told the same, and not that endpoints are missing.
 */
export function judgeSubject(
  { namespace, annotations, type }: Service,
  {
    wishes,
    slices,
    rules,
  }: { readonly wishes: BackendWishes; readonly slices: readonly EndpointSlice[]; readonly rules: MessageRules },
): { readonly subject: SubjectTarget | undefined; readonly mismatches: readonly Mismatch[] } {
  const { subject } = wishes;
  if (subject === undefined) return { subject, mismatches: [] };
  const got = shown(annotations[BACKEND]);
  const hasEndpoints = slices.some(({ endpoints }) => endpoints.length > 0) || wishes.endpoints !== undefined;
  if (hasEndpoints || type === 'ExternalName') {
    const expected =
      'no such key on a Service that has endpoints, which serve it (it is for Services without a selector)';
    return { subject: undefined, mismatches: [{ field: FIELD, expected, got }] };
  }
  if (rules.by === 'none') return { subject, mismatches: [{ field: FIELD, expected: NO_BROKER, got }] };
  const refused = subjectMismatch(subject, { namespace, rules });
  if (refused === undefined) return { subject, mismatches: [] };
  return { subject: undefined, mismatches: [{ ...refused, field: FIELD }] };
}

/** Why what belongs to a namespace must not use a subject so; undefined: it may, or there is no broker to do it. */
export function subjectMismatch(
  { template, does }: SubjectTarget,
  { namespace, rules }: { readonly namespace: string; readonly rules: MessageRules },
): Omit<Mismatch, 'field'> | undefined {
  const pattern = patternOf(template);
  const refused = refusedUse(rules, { namespace, use: does, pattern });
  return refused === undefined ? undefined : mismatchOf('', refused, pattern);
}

/** The widest that a template can make: it was read before. */
function patternOf(text: string): string {
  const template = parseTemplate(text, SUBJECT_TEMPLATE);
  return typeof template === 'string' ? '>' : template.pattern();
}
