import { NANOSECONDS_PER_MS } from '../../../lib/duration.ts';
import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import { askStreams } from '../stream-api.ts';

const KNOWN_MS = 10_000;
const CONSUMERS_MAX = 1024;
/** JetStream API error. */
const CONSUMER_NOT_FOUND = 10_014;

/** How a consumer wants its messages acknowledged. */
export interface AckTerms {
  /** After how long the nth delivery is followed by another one; the last stands for all that follow. Empty: none is. */
  readonly ackWaitsMs: readonly number[];
}

type Give = (terms: AckTerms | MessageProblem) => void;

const knownOf = new WeakMap<Link, Map<string, { readonly terms: AckTerms; readonly untilMs: number }>>();

/** As it was within the last 10 s. */
export function askAckTerms(link: Link, stream: string, consumer: string, give: Give): void {
  const known = knownOf.get(link) ?? new Map<string, { readonly terms: AckTerms; readonly untilMs: number }>();
  knownOf.set(link, known);
  const key = `${stream} ${consumer}`;
  const found = known.get(key);
  if (found !== undefined && found.untilMs > performance.now()) {
    give(found.terms);
    return;
  }
  askStreams(link, `CONSUMER.INFO.${stream}.${consumer}`, {}, (problem, { config }) => {
    const terms = problem === undefined ? termsIn(config ?? {}) : explained(problem);
    if (known.size >= CONSUMERS_MAX) known.clear();
    if (terms instanceof MessageProblem) known.delete(key);
    else known.set(key, { terms, untilMs: performance.now() + KNOWN_MS });
    give(terms);
  });
}

interface Config {
  readonly ack_policy?: unknown;
  readonly ack_wait?: unknown;
  readonly backoff?: unknown;
  readonly deliver_subject?: unknown;
}

function termsIn({
  ack_policy: policy,
  ack_wait: wait,
  backoff,
  deliver_subject: pushed,
}: Config): AckTerms | MessageProblem {
  if (pushed !== undefined)
    return new MessageProblem('not-for-this-stream', 'Expected a consumer that is pulled, got one that pushes');
  if (policy === 'none') return { ackWaitsMs: [] };
  const waits = Array.isArray(backoff) && backoff.length > 0 ? (backoff as readonly unknown[]) : [wait];
  return { ackWaitsMs: waits.map((ns) => Number(ns) / NANOSECONDS_PER_MS) };
}

function explained(problem: MessageProblem): MessageProblem {
  if (problem.members['err_code'] !== CONSUMER_NOT_FOUND) return problem;
  return new MessageProblem('no-consumer', 'Expected the name of a consumer of the stream, got one that there is not');
}

/** When the nth delivery, which begins now, is over. */
export function expiryMs({ ackWaitsMs }: AckTerms, delivery: number, nowMs: number): number {
  return Math.floor(nowMs + (ackWaitsMs[Math.min(delivery, ackWaitsMs.length) - 1] ?? 0));
}
