import type { FinalReply } from './client.ts';
import { valueOf } from './message.ts';
import { bodyOf, echoed } from './routed-load.ts';
import { to } from './rules-scene.ts';

// Rules that match and split and edit, requests that come under both, and what an echo must have seen of them, byte by byte.

/** A header match, and a split with edits of both heads. */
export function editedRules(weight: number): readonly object[] {
  const edits = (by: string): readonly object[] => [
    {
      type: 'RequestHeaderModifier',
      requestHeaderModifier: { set: [{ name: 'x-test-set', value: by }], remove: ['x-test-gone'] },
    },
    {
      type: 'ResponseHeaderModifier',
      responseHeaderModifier: { set: [{ name: 'x-test-reply', value: by }], remove: ['x-test-secret'] },
    },
  ];
  const matches = [{ headers: [{ name: 'x-test-user', value: '7' }] }];
  return [
    { matches, filters: edits('match'), backendRefs: [to('v2')] },
    { filters: edits('split'), backendRefs: [to('v1', 100 - weight), to('v2', weight)] },
  ];
}

/** Each third one has the header that is matched, and each has bytes that no other has. */
export function request(number: number): string {
  const body = bodyOf(number);
  const user = isMatched(number) ? 'X-Test-User: 7\r\n' : '';
  return (
    `POST /${number} HTTP/1.1\r\nHost: orders.shop\r\nx-test-gone: 1\r\nX-Test-Set: theirs\r\n${user}` +
    `x-test-number: ${number}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

export function judge(reply: FinalReply, number: number): string {
  const by = isMatched(number) ? 'match' : 'split';
  const headers = {
    'x-test-number': String(number),
    'x-test-set': by,
    ...(isMatched(number) && { 'x-test-user': '7' }),
  };
  const expected = echoed({ method: 'POST', url: `/${number}`, headers }, bodyOf(number));
  const [first = ''] = reply.body.split(' ', 1);
  if (reply.status !== 200) return `${reply.status} ${reply.body.slice(0, 100)}`;
  if (isMatched(number) ? first !== 'v2' : !['v1', 'v2'].includes(first)) return `Answered by ${first}`;
  if (reply.body !== `${first} ${expected}`) return `Expected ${expected.slice(0, 80)}, got ${reply.body.slice(0, 80)}`;
  const [edited, secret] = [valueOf(reply, 'x-test-reply'), valueOf(reply, 'x-test-secret')];
  return edited === by && secret === undefined ? '' : `Got x-test-reply: ${edited}, x-test-secret: ${secret}`;
}

function isMatched(number: number): boolean {
  return number % 3 === 0;
}
