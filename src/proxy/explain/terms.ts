import { formatSize } from '../../lib/size.ts';
import type { HashStep, RateLimitStep, TermView } from '../../model/explanation.ts';
import {
  backoffText,
  hashKeyText,
  policyLines,
  rateLimitText,
  retryWhenText,
  timeText,
} from '../../model/policy-text.ts';
import { goesByHash } from '../../model/resilience.ts';
import { type Backend, objectKey } from '../../model/snapshot.ts';
import { newVerdict } from '../../shared.ts';
import type { LiveBackend } from '../balance.ts';
import type { Decision } from '../decide.ts';
import { type Asking, hintOf, type RateLimits } from '../filter.ts';
import { FIELD, type Head, type Source } from '../http.ts';
import type { Hints } from './sent.ts';
import { type Terms, termsOf, type TermsSettings, type Wishes } from '../route.ts';

const SETTINGS = 'settings';
const DEFAULT = 'default';

/** What holds for the attempts of a request, and whose wish each is. */
export function termViews(decision: Decision, head: Head, settings: TermsSettings): readonly TermView[] {
  const { rule, routing, frontend } = decision;
  const terms = decision.terms ?? termsOf(settings, []);
  const { retry } = terms;
  const methods = typeof retry.methodNames === 'string' ? retry.methodNames : retry.methodNames.join(', ');
  const wishes = routing?.wishesOf(rule?.rule) ?? [];
  const by = (asked: (wishes: Wishes) => unknown, otherwise: string): string => {
    const wisher = wishes.find((one) => asked(one) !== undefined);
    if (wisher === undefined) return otherwise;
    return wisher === rule?.rule ? `${rule.rule.source.object} ${rule.rule.source.field}` : serviceText(frontend!);
  };
  const ofRetry = (name: keyof NonNullable<Wishes['retry']>, otherwise = DEFAULT): string =>
    by((one) => one.retry?.[name], otherwise);
  const idleBy = by(({ timeouts }) => timeouts.idleMs, SETTINGS);
  return [
    requestTerm(
      terms,
      head,
      by(({ timeouts }) => timeouts.requestMs, SETTINGS),
    ),
    // Else the backend says.
    ...(terms.tryMs === undefined
      ? []
      : [{ name: 'timeout-try', value: timeText(terms.tryMs), by: by(({ timeouts }) => timeouts.tryMs, DEFAULT) }]),
    { name: 'timeout-idle', value: timeText(terms.idleMs), by: idleBy },
    {
      name: 'timeout-stream-idle',
      value: timeText(terms.streamIdleMs),
      by: terms.streamIdleMs > settings.timeouts.streamIdleMs ? idleBy : SETTINGS,
    },
    retriesTerm(terms, head, ofRetry('retries')),
    { name: 'retry-on', value: retryWhenText(retry.when), by: ofRetry('on') },
    { name: 'retry-methods', value: methods, by: ofRetry('methods') },
    { name: 'retry-backoff', value: backoffText(retry.backoff), by: ofRetry('backoff') },
    { name: 'retry-body-max', value: formatSize(retry.bodyMax), by: ofRetry('bodyMax', SETTINGS) },
  ];
}

/** A caller can only shorten it. */
function requestTerm({ requestMs }: Terms, head: Head, by: string): TermView {
  const callerMs = hintOf(head, FIELD.heddleTimeout);
  return callerMs >= 0 && callerMs < requestMs
    ? { name: 'timeout-request', value: timeText(callerMs), by: 'x-heddle-timeout-ms' }
    : { name: 'timeout-request', value: timeText(requestMs), by };
}

/** A hop before this one that makes attempts itself can only forbid them. */
function retriesTerm({ retry }: Terms, head: Head, by: string): TermView {
  return hintOf(head, FIELD.heddleAttempt) > 1
    ? { name: 'retry-attempts', value: '0', by: 'x-heddle-attempt' }
    : { name: 'retry-attempts', value: String(retry.retries), by };
}

/** Of a first attempt that leaves at once. */
export function firstHints(decision: Decision, head: Head, { policy }: Backend, settings: TermsSettings): Hints {
  const { requestMs, tryMs = policy.tryMs } = decision.terms ?? termsOf(settings, []);
  const callerMs = hintOf(head, FIELD.heddleTimeout);
  return {
    leftMs: Math.min(requestMs, tryMs, callerMs < 0 ? Infinity : callerMs),
    attempt: Math.max(1, hintOf(head, FIELD.heddleAttempt)),
  };
}

/** @param rateLimits undefined: nothing is counted here. */
export function rateLimitStep(
  { routing, frontend, port }: Decision,
  asking: Asking,
  rateLimits: RateLimits | undefined,
): RateLimitStep | null {
  const policy = routing?.policy?.rateLimit;
  if (policy === undefined || port === undefined) return null;
  const verdict = rateLimits?.peek(policy, port.backend, asking, performance.now(), newVerdict());
  return {
    policy: rateLimitText(policy),
    by: serviceText(frontend!),
    left: verdict?.left ?? null,
    nextMs: verdict?.nextMs ?? 0,
    shared: verdict?.shared ?? false,
  };
}

/** What is in force at the backend. A rule's time for each attempt stands in place of the backend's. */
export function policyViews(
  backend: Backend,
  terms: readonly TermView[],
  settings: TermsSettings,
): readonly TermView[] {
  const { policy, subject } = backend;
  // What goes as a message comes to no endpoint, and is guarded by the bridge.
  if (subject !== undefined) return [];
  const owner = serviceText(backend);
  const lines = policyLines(policy).filter((line) => !terms.some(({ name }) => name === line.name));
  return [
    ...lines.map(({ name, value, isDefault }) => ({ name, value, by: isDefault ? DEFAULT : owner })),
    ...(policy.connectMs === undefined
      ? [{ name: 'timeout-connect', value: timeText(settings.timeouts.connectMs), by: SETTINGS }]
      : []),
  ];
}

interface HashedRequest {
  /** Undefined: which endpoint the hash means is not known here. */
  readonly live: LiveBackend | undefined;
  readonly head: Head;
  readonly source: Source;
  readonly pathStart: number;
}

export function hashStep({ policy }: Backend, { live, head, source, pathStart }: HashedRequest): HashStep | null {
  if (!goesByHash(policy.balance)) return null;
  const hash = live?.hash(head, source, pathStart) ?? 0;
  return { on: hashKeyText(policy.balance.hashOn), endpoint: live?.meant(hash, performance.now())?.key ?? '' };
}

function serviceText(object: { readonly namespace: string; readonly name: string }): string {
  return `Service ${objectKey(object)}`;
}
