import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import type { Call } from '../call.ts';
import { JSON_TYPE } from '../media-types.ts';
import { messageMembers } from '../message-json.ts';
import { type Entry, readNext } from './entry.ts';

/** What a server keeps of a key at most. */
const REVISIONS_MAX = 64;
const BYTES_MAX = 8 * 1024 * 1024;

/** Answers with the revisions of a key that the bucket still has, the oldest first. */
export function answerHistory(call: Call, link: Link, bucket: string, key: string): void {
  const entries: string[] = [];
  let bytes = 0;
  let gone = false;
  call.onAbort = () => {
    gone = true;
  };
  const finish = (complete: boolean): void => {
    const body = Buffer.from(
      `{"key":${JSON.stringify(key)},"complete":${complete},"revisions":[${entries.join(',')}]}\n`,
    );
    call.reply(
      200,
      [
        ['content-type', JSON_TYPE],
        ['cache-control', 'no-store'],
      ],
      body,
    );
  };
  const from = (revision: number): void => {
    readNext(link, bucket, key, revision, (problem, entry) => {
      if (gone) return;
      if (problem !== undefined) {
        call.problem(problem);
      } else if (entry === undefined) {
        if (entries.length > 0) finish(true);
        else call.problem(new MessageProblem('no-key', 'Expected a key of the bucket, got one that it does not have'));
      } else {
        entries.push(`{${entryMembers(entry)}}`);
        bytes += entry.value.length;
        if (entries.length === REVISIONS_MAX || bytes > BYTES_MAX) finish(false);
        else from(entry.revision + 1);
      }
    });
  };
  from(1);
}

/** The members of a JSON object that say what is in a revision. */
export function entryMembers({ revision, operation, time, value }: Entry): string {
  const about = `"revision":${revision},"operation":"${operation}","time":${JSON.stringify(time)}`;
  return operation === 'put' ? `${about},${messageMembers(value, undefined)}` : about;
}
