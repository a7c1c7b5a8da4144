import { parseDuration } from '../../lib/duration.ts';
import { randomHex } from '../../lib/random.ts';
import { shown } from '../../lib/shown.ts';
import { subjectRefusal } from '../../lib/subject.ts';
import type { Field } from '../headers.ts';
import type { Link } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { expectedLast } from './conditions.ts';
import type { QueryOf, Schema } from './route.ts';

export type Ack = 'none' | 'server' | 'stream';

export const ACK: Schema & { readonly type: 'string'; readonly enum: readonly Ack[] } = {
  type: 'string',
  enum: ['none', 'server', 'stream'],
  description: 'Who has to have taken the message before the answer: nobody, the NATS server, a stream',
};

export const PUBLISH_QUERY = {
  ack: ACK,
  at: {
    type: 'string',
    maxLength: 40,
    pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$`,
    description: 'When the stream is to publish it, as 2026-01-31T12:00:00Z (RFC 3339)',
  },
  delay: {
    type: 'string',
    maxLength: 20,
    description: 'After which time the stream is to publish it, as 90s or 1h30m',
  },
} as const satisfies Record<string, Schema>;

export const PUBLISH_HEADERS = {
  'Idempotency-Key': 'Within the window of the stream, a message with the key of an earlier one is not stored again',
  'If-Match': 'Stored only if the last message of the subject has this sequence, as "7"',
  'If-None-Match': 'With *: stored only if the subject has no message yet',
  'Nats-TTL': 'How long the stream keeps it, as 1h; a NatsPolicy has to allow it',
  'Prefer': 'wait=N: seconds after which the answer is a timeout',
} as const;

/** What a call wants of its publish. */
export interface PublishOptions {
  readonly ack: Ack;
  /** Where it goes: the subject itself, or one below it, where the stream keeps what is to be published later. */
  readonly to: string;
  /** Headers that the bridge sets for it. */
  readonly extra: readonly Field[];
  /** Its Nats-Msg-Id. */
  readonly id: string | undefined;
}

const KEY = /^[\x21-\x7e]{1,255}$/;
const QUOTED = /^"([\x20-\x21\x23-\x7e]*)"$/;
const SCHEDULE_ID_BYTES = 12;
const LATER_MAX_MS = 366 * 24 * 3_600_000;

export function publishOptions(call: Call, link: Link, subject: string): PublishOptions | MessageProblem {
  const query = call.query as QueryOf<typeof PUBLISH_QUERY>;
  const id = messageId(call);
  if (id instanceof MessageProblem) return id;
  const expected = expectedLast(call, 'sequence', 0);
  if (expected instanceof MessageProblem) return expected;
  const later = laterFields(query, link, subject);
  if (later instanceof MessageProblem) return later;
  // The schedule itself is a message, too.
  const verdict = later === undefined ? undefined : call.grants.publish(later.to);
  if (verdict instanceof MessageProblem) return verdict;
  if (expected !== undefined && later !== undefined)
    return new MessageProblem('invalid-parameter', 'Expected a condition or a delay, got both');
  const ttl = call.header('nats-ttl');
  if (ttl !== undefined && later !== undefined)
    return new MessageProblem('invalid-parameter', 'Expected Nats-TTL or a delay, got both');
  if (ttl !== undefined && !link.serverIsAtLeast(2, 11)) return notSupported(link, 'Nats-TTL', '2.11');
  const needsStream = expected !== undefined || later !== undefined || ttl !== undefined;
  const { ack = needsStream ? 'stream' : 'server' } = query;
  if (needsStream && ack !== 'stream')
    return new MessageProblem('invalid-parameter', `Expected ack=stream with what only a stream does, got ack=${ack}`);
  const extra: Field[] = [];
  if (id !== undefined) extra.push(['Nats-Msg-Id', id]);
  if (expected !== undefined) extra.push(['Nats-Expected-Last-Subject-Sequence', String(expected)]);
  if (later !== undefined) extra.push(...later.fields);
  return { ack, to: later?.to ?? subject, extra, id };
}

/** The feature came with a later server. */
export function notSupported(link: Link, what: string, version: string): MessageProblem {
  const server = link.serverVersion;
  return new MessageProblem(
    'not-supported',
    `Expected a NATS server of at least ${version} for ${what}, got ${server}`,
    {
      server,
    },
  );
}

/** Of whoever sends it, so that nobody can make another one's message a duplicate. Undefined: it has none. */
function messageId(call: Call): string | undefined | MessageProblem {
  const given = call.header('idempotency-key') ?? call.header('nats-msg-id');
  if (given === undefined) return undefined;
  // A string of structured fields, as the draft has it; many send it bare.
  const key = QUOTED.exec(given)?.[1] ?? given;
  if (KEY.test(key)) return `${call.grants.identity}:${key}`;
  return new MessageProblem(
    'invalid-header',
    `Expected an Idempotency-Key of 1 to 255 visible ASCII, got ${shown(given)}`,
  );
}

/**
 * A message for later is a schedule that the stream keeps (ADR-51): each under a subject of its own, else a second one would
 * replace the first. It is made here, and its target is the subject that was judged: a client that set these headers could have
 * the server write anywhere. The caller must be allowed to publish to both.
 */
function laterFields(
  { at, delay }: QueryOf<typeof PUBLISH_QUERY>,
  link: Link,
  subject: string,
): { readonly to: string; readonly fields: readonly Field[] } | undefined | MessageProblem {
  if (at === undefined && delay === undefined) return undefined;
  if (at !== undefined && delay !== undefined)
    return new MessageProblem('invalid-parameter', 'Expected at or delay, got both');
  const delayMs = delay === undefined ? Date.parse(at!) - Date.now() : parseDuration(delay);
  if (delayMs === undefined || Number.isNaN(delayMs) || delayMs > LATER_MAX_MS)
    return new MessageProblem(
      'invalid-parameter',
      `Expected a time within a year, or a delay as 90s or 1h30m, got ${shown(at ?? delay)}`,
    );
  if (!link.serverIsAtLeast(2, 12)) return notSupported(link, 'at and delay', '2.12');
  const to = `${subject}.schedule.${randomHex(SCHEDULE_ID_BYTES)}`;
  const refusal = subjectRefusal(to);
  if (refusal !== undefined) return new MessageProblem('invalid-subject', refusal);
  const time = new Date(Date.now() + delayMs).toISOString();
  return {
    to,
    fields: [
      ['Nats-Schedule', `@at ${time}`],
      ['Nats-Schedule-Target', subject],
    ],
  };
}
