import { covers, overlaps, reservedRefusal } from '../lib/subject.ts';
import type { NatsPolicy } from './snapshot.ts';

/** What a policy rules separately: what may be published, requested and subscribed to. */
export type Use = 'publish' | 'request' | 'subscribe';

/** What policies that fit somebody say together: all are allowed what any of them allows, and nobody what any of them denies. */
export type Judgement =
  | { readonly allowed: true; /** At least one. */ readonly by: readonly NatsPolicy[] }
  | {
      readonly allowed: false;
      /** Undefined: none allows it. */ readonly denied:
        | { readonly by: NatsPolicy; readonly pattern: string }
        | undefined;
    };

/** @param pattern all that it matches must be allowed by one rule (subset test), and nothing of it denied. */
export function judge(policies: Iterable<NatsPolicy>, use: Use, pattern: string): Judgement {
  const by: NatsPolicy[] = [];
  for (const policy of policies) {
    const { allow, deny } = policy[use];
    for (const denied of deny)
      if (overlaps(denied, pattern)) return { allowed: false, denied: { by: policy, pattern: denied } };
    if (allow.some((allowed) => covers(allowed, pattern))) by.push(policy);
  }
  return by.length === 0 ? { allowed: false, denied: undefined } : { allowed: true, by };
}

const VERBS: Readonly<Record<Use, string>> = {
  publish: 'publish to',
  request: 'send requests to',
  subscribe: 'subscribe to',
};

/** Why they may not, and what would help. @param who `namespace shop (pod web-1, 10.1.0.7)` */
export function judgementText(
  { denied }: Extract<Judgement, { readonly allowed: false }>,
  who: string,
  use: Use,
  pattern: string,
): string {
  if (denied !== undefined) {
    return `NatsPolicy ${denied.by.name} denies ${who} to ${VERBS[use]} ${denied.pattern}, which ${pattern} ${denied.pattern === pattern ? 'is' : 'touches'}`;
  }
  return `No NatsPolicy allows ${who} to ${VERBS[use]} ${pattern}: one with spec.from for it and spec.${use}.allow ${pattern} is needed`;
}

/**
 * Why no Service of this namespace may do that, as far as the namespace alone decides (entries that ask for labels or addresses
 * say nothing of a Service); undefined: it may.
 */
export function allowsNamespace(
  policies: Iterable<NatsPolicy>,
  namespace: string,
  use: Use,
  pattern: string,
): string | undefined {
  const reserved = use === 'subscribe' ? reservedRefusal(pattern) : undefined;
  if (reserved !== undefined) return reserved;
  const fitting = [...policies].filter(({ from }) =>
    from.some(
      ({ namespaces, podLabels, addresses }) =>
        podLabels === undefined &&
        addresses === undefined &&
        (namespaces === undefined || namespaces.includes(namespace)),
    ),
  );
  const judgement = judge(fitting, use, pattern);
  return judgement.allowed ? undefined : judgementText(judgement, `namespace ${namespace}`, use, pattern);
}
