import type { Msg } from '@nats-io/transport-node';
import { jsonObject } from '../json-object.ts';
import type { Stored } from '../link.ts';
import { MessageProblem, type ProblemCode } from '../problem.ts';
import { errorText } from './error-text.ts';

/** What a stream says when it does not take a message (`err_code`, server/errors.json of nats-server). */
const CODES = new Map<number, ProblemCode>([
  [10_071, 'precondition-failed'],
  [10_164, 'precondition-failed'],
  [10_070, 'precondition-failed'],
  [10_063, 'precondition-failed'],
  [10_060, 'wrong-stream'],
  [10_054, 'too-large'],
  [10_097, 'too-large'],
  // Sealed, roll-up, TTL, counters, schedules.
  ...[10_109, 10_111, 10_165, 10_166, 10_168, 10_169, 10_170, 10_171].map(notForThisStream),
  ...[10_188, 10_189, 10_190, 10_191, 10_192, 10_203, 10_212, 10_223].map(notForThisStream),
  [10_122, 'stream-full'],
  [10_002, 'storage-full'],
  [10_023, 'storage-full'],
  [10_028, 'storage-full'],
  [10_047, 'storage-full'],
]);
/** `{err}`: whatever the store says, among it that the stream is full and discards nothing old. */
const STORE_FAILED = 10_077;
const LAST_SEQUENCE = /^wrong last sequence: (\d{1,15})$/;
/** As servers take names of streams; whatever it is, it is told to HTTP clients. */
const STREAM = /^[^\s.*>/\\\p{C}]{1,255}$/u;
const NOBODY = 503;

interface PubAck {
  readonly stream?: unknown;
  readonly seq?: unknown;
  readonly duplicate?: unknown;
  readonly error?: { readonly err_code?: unknown; readonly description?: unknown } | null;
}

/** Nobody answers on the subject: the server's own reply, with a status and no body. */
export function isNoResponders(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === NOBODY;
}

/**
 * What became of a message that was to be stored, by the reply to it. Anybody may have answered on the subject: only what a stream
 * says counts (bridge.md 00.5).
 */
export function readPubAck(subject: string, reply: Msg): Stored | MessageProblem {
  const ack: PubAck | undefined = jsonObject(reply.data);
  if (ack === undefined) return notAStream(subject);
  const { stream, seq, error } = ack;
  if (typeof error === 'object' && error !== null && Number.isSafeInteger(error.err_code)) {
    const description = typeof error.description === 'string' ? error.description : 'It gave no reason';
    return refusal(error.err_code as number, description, typeof stream === 'string' ? stream : undefined);
  }
  if (error !== undefined || typeof stream !== 'string' || !STREAM.test(stream)) return notAStream(subject);
  if (!Number.isSafeInteger(seq) || (seq as number) <= 0) return notAStream(subject);
  return { stream, sequence: seq as number, duplicate: ack.duplicate === true };
}

/**
 * Why nobody answered what was to be stored: no stream binds the subject, or its stream, or all of JetStream, is away for a while, as
 * where servers elect, start or end.
 * @param names the answer to the question which streams bind the subject; undefined: none came.
 * @param isAway there is JetStream, and it did not answer.
 */
export function unanswered(subject: string, names: Msg | undefined, isAway: boolean): MessageProblem {
  const streams: unknown = names === undefined ? undefined : jsonObject(names.data)?.['streams'];
  const bound = Array.isArray(streams) && streams.length > 0;
  if (bound || isAway)
    return new MessageProblem(
      'no-broker',
      `Expected ${bound ? `the stream of ${subject}` : 'JetStream'} to answer, got nothing`,
    );
  return new MessageProblem('no-stream', `No stream binds the subject ${subject}`);
}

function refusal(code: number, description: string, stream: string | undefined): MessageProblem {
  const sequence = LAST_SEQUENCE.exec(description)?.[1];
  const text = errorText(description);
  return new MessageProblem(codeOf(code, description), `The stream did not take the message: ${text}`, {
    server: text,
    err_code: code,
    ...(stream !== undefined && { stream: errorText(stream) }),
    ...(sequence !== undefined && { seq: Number(sequence) }),
  });
}

function codeOf(code: number, description: string): ProblemCode {
  if (code === STORE_FAILED && description.startsWith('maximum ')) return 'stream-full';
  if (code === STORE_FAILED && description.endsWith('too large')) return 'too-large';
  return CODES.get(code) ?? 'broker-error';
}

function notForThisStream(code: number): [number, ProblemCode] {
  return [code, 'not-for-this-stream'];
}

function notAStream(subject: string): MessageProblem {
  return new MessageProblem(
    'not-a-stream',
    `Expected the acknowledgement of a stream on ${subject}, got another reply`,
  );
}
