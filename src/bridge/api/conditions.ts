import { shown } from '../../lib/shown.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';

const TAG = /^"(\d{1,16})"$/;

/**
 * What the last message of a subject, or the last revision of a key, has to be for a call to change anything, by If-Match or
 * If-None-Match (RFC 9110 section 13.1). 0: there is to be none. Undefined: whatever it is.
 * @param least that If-Match may name.
 */
export function expectedLast(
  call: Pick<Call, 'header'>,
  name: 'sequence' | 'revision',
  least: 0 | 1,
): number | undefined | MessageProblem {
  const match = call.header('if-match');
  const noneMatch = call.header('if-none-match');
  if (match !== undefined && noneMatch !== undefined)
    return new MessageProblem('invalid-header', 'Expected If-Match or If-None-Match, got both');
  if (noneMatch !== undefined) {
    if (noneMatch === '*') return 0;
    return new MessageProblem('invalid-header', `Expected If-None-Match: *, got ${shown(noneMatch)}`);
  }
  if (match === undefined) return undefined;
  const last = Number(TAG.exec(match)?.[1]);
  if (Number.isSafeInteger(last) && last >= least) return last;
  return new MessageProblem('invalid-header', `Expected If-Match: "7" with a ${name}, got ${shown(match)}`);
}
