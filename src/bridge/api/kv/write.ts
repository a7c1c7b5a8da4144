import { HeaderBlock } from '../../header-block.ts';
import type { Field } from '../../headers.ts';
import type { Link, Settle, Stored } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import { explainBucket, type Operation, readLatest, subjectOf } from './entry.ts';

/** A value, or the mark that there is none any more. */
export interface Write {
  readonly bucket: string;
  readonly key: string;
  readonly operation: Operation;
  readonly value: Uint8Array;
  /** What the last revision has to be; 0: there is to be no value. Undefined: whatever it is. */
  readonly expected: number | undefined;
  /** Seconds; undefined: as long as the bucket keeps values. */
  readonly ttlS: number | undefined;
}

export function write(link: Link, change: Write, timeoutMs: number, settle: Settle<Stored>): void {
  store(link, change, change.expected, timeoutMs, (problem, stored) => {
    if (problem?.code !== 'precondition-failed' || change.expected !== 0) {
      settle(problem, stored);
      return;
    }
    // What was deleted has a last revision, too, and yet is no value.
    readLatest(link, change.bucket, change.key, (failed, entry) => {
      if (failed !== undefined || entry === undefined || entry.operation === 'put')
        settle(taken(problem, entry?.revision), undefined);
      else store(link, change, entry.revision, timeoutMs, settle);
    });
  });
}

function taken(problem: MessageProblem, revision: number | undefined): MessageProblem {
  const members = revision === undefined ? problem.members : { ...problem.members, seq: revision };
  return new MessageProblem(problem.code, 'Expected a key without a value, got one that has one', members);
}

function store(
  link: Link,
  { bucket, key, operation, value, ttlS }: Write,
  expected: number | undefined,
  timeoutMs: number,
  settle: Settle<Stored>,
): void {
  const fields: Field[] = [];
  if (operation !== 'put') fields.push(['KV-Operation', operation.toUpperCase()]);
  if (operation === 'purge') fields.push(['Nats-Rollup', 'sub']);
  if (expected !== undefined) fields.push(['Nats-Expected-Last-Subject-Sequence', String(expected)]);
  if (ttlS !== undefined) fields.push(['Nats-TTL', `${ttlS}s`]);
  const block = new HeaderBlock();
  for (const [name, text] of fields) block.add(name, text);
  const message = { subject: subjectOf(bucket, key), headers: block.bytes(), body: value };
  link.store(message, timeoutMs, (problem, stored) => {
    settle(problem === undefined ? undefined : explainBucket(problem), stored);
  });
}
