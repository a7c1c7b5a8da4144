import { shown } from '../../lib/shown.ts';
import { reservedRefusal } from '../../lib/subject.ts';
import type { Mismatch } from '../../model/problem.ts';
import { allowsNamespace, type Use } from '../../model/rules.ts';
import type { NatsPolicy } from '../../model/snapshot.ts';

/** Whether there is a broker, and who says what a namespace may do with messages. */
export type MessageRules =
  /** There is no broker. */
  | { readonly by: 'none' }
  /** Everything is allowed but what is the server's own. */
  | { readonly by: 'open' }
  | { readonly by: 'policies'; readonly policies: readonly NatsPolicy[] };

/** The rules of before where they are the same. */
export function rulesOf(
  by: MessageRules['by'],
  policies: readonly NatsPolicy[],
  before: MessageRules | undefined,
): MessageRules {
  const isSame = before?.by === by && (before.by !== 'policies' || before.policies === policies);
  return isSame ? before : by === 'policies' ? { by, policies } : { by };
}

/** Why the owner of a Service or Subscription may not wish for that; undefined: he may, or there is no broker to do it. */
export function refusedUse(
  rules: MessageRules,
  { namespace, use, pattern }: { readonly namespace: string; readonly use: Use; readonly pattern: string },
): string | undefined {
  if (rules.by === 'policies') return allowsNamespace(rules.policies, namespace, use, pattern);
  return rules.by === 'open' && use === 'subscribe' ? reservedRefusal(pattern) : undefined;
}

export const NO_BROKER = 'nothing of messages without a NATS server (--nats-url names one)';

/**
 * What the rules or the grammar of subjects, names and templates say in a sentence, as a mismatch.
 * @param text what was refused, for sentences that do not say what they got.
 */
export function mismatchOf(field: string, refusal: string, text = ''): Mismatch {
  const [, expected, got] = /^Expected (.+?), got (.+)$/s.exec(refusal) ?? [];
  if (expected !== undefined && got !== undefined) return { field, expected, got };
  return { field, expected: `a subject that policies allow (${refusal})`, got: shown(text) };
}
