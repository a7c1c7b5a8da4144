import type { Msg } from '@nats-io/transport-node';
import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import { askMessage } from '../stream-api.ts';

/** A bucket is a stream, a key a subject in it, a revision a sequence (ADR-8). */

export type Operation = 'put' | 'del' | 'purge';

/** One revision of a key. */
export interface Entry {
  readonly revision: number;
  /** RFC 3339. */
  readonly time: string;
  readonly operation: Operation;
  readonly value: Uint8Array;
}

/** @param entry undefined: nothing was ever put. What was deleted is an entry that says so. */
export type GiveEntry = (problem: MessageProblem | undefined, entry: Entry | undefined) => void;

const ASK_MS = 3000;
const NOT_FOUND = 404;

export function streamOf(bucket: string): string {
  return `KV_${bucket}`;
}

export function subjectOf(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** In the words of buckets. */
export function explainBucket(problem: MessageProblem): MessageProblem {
  if (problem.code !== 'no-stream') return problem;
  return new MessageProblem('no-bucket', 'Expected the name of a bucket, got one that there is not');
}

/** @param first value of a header of the message, by its name. */
export function operationOf(first: (name: string) => string | undefined): Operation {
  const operation = first('KV-Operation');
  if (operation === 'DEL') return 'del';
  if (operation === 'PURGE') return 'purge';
  // What the server leaves where the last value ran out (ADR-43, ADR-48).
  const reason = first('Nats-Marker-Reason');
  if (reason === undefined || reason === '') return 'put';
  return reason === 'Remove' ? 'del' : 'purge';
}

/** The last revision, as the leader of the bucket has it. */
export function readLatest(link: Link, bucket: string, key: string, give: GiveEntry): void {
  readStored(link, bucket, { last_by_subj: subjectOf(bucket, key) }, subjectOf(bucket, key), give);
}

/** One revision of the key; undefined: it is none of its revisions. */
export function readRevision(link: Link, bucket: string, key: string, revision: number, give: GiveEntry): void {
  readStored(link, bucket, { seq: revision }, subjectOf(bucket, key), give);
}

/** The first revision of the key from this one on. */
export function readNext(link: Link, bucket: string, key: string, revision: number, give: GiveEntry): void {
  const subject = subjectOf(bucket, key);
  readStored(link, bucket, { seq: revision, next_by_subj: subject }, subject, give);
}

/**
 * The last revision, from whichever replica answers: cheaper, and it may be a little old (ADR-31). Buckets that do not allow it are
 * asked as `readLatest` does.
 */
export function readNearest(link: Link, bucket: string, key: string, give: GiveEntry): void {
  const subject = `$JS.API.DIRECT.GET.${streamOf(bucket)}.${subjectOf(bucket, key)}`;
  link.request({ subject, headers: undefined, body: Buffer.alloc(0) }, ASK_MS, (problem, reply) => {
    if (problem?.code === 'no-responders') readLatest(link, bucket, key, give);
    else if (problem !== undefined)
      give(new MessageProblem(problem.code, problem.detail, { outcome: 'not-sent' }), undefined);
    else if (reply!.headers?.code === NOT_FOUND) give(undefined, undefined);
    else give(...entryIn(reply!));
  });
}

function entryIn({ headers, data }: Msg): Parameters<GiveEntry> {
  const revision = Number(headers?.get('Nats-Sequence'));
  if (headers === undefined || !Number.isSafeInteger(revision) || revision <= 0)
    return [new MessageProblem('broker-error', 'Expected a message of the bucket, got something else'), undefined];
  const operation = operationOf((name) => headers.get(name));
  return [undefined, { revision, time: headers.get('Nats-Time-Stamp'), operation, value: data }];
}

function readStored(
  link: Link,
  bucket: string,
  which: Parameters<typeof askMessage>[2],
  expected: string,
  give: GiveEntry,
): void {
  askMessage(link, streamOf(bucket), which, (problem, message) => {
    if (problem?.code === 'no-message') give(undefined, undefined);
    else if (problem !== undefined) give(explainBucket(problem), undefined);
    // A sequence may be that of another key.
    else if (message!.subject !== expected) give(undefined, undefined);
    else {
      const { sequence: revision, time, headers, body: value } = message!;
      const operation = operationOf((name) => headers.find(([known]) => known === name)?.[1][0]);
      give(undefined, { revision, time, operation, value });
    }
  });
}
