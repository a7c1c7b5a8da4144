import { isUtf8 } from 'node:buffer';
import { bufferOf } from '../../lib/buffer-of.ts';
import type { Schema } from './route.ts';

/** Headers of a message, as the client library has them. */
type HeaderLists = Iterable<readonly [name: string, values: readonly string[]]>;

/** Schemas of what `messageMembers` writes. */
export const MESSAGE_MEMBERS = {
  data: { type: 'string', description: 'The body, where it is UTF-8' },
  data_base64: { type: 'string', description: 'The body, where it is not' },
  headers: { type: 'object', additionalProperties: { type: 'string' } },
} as const satisfies Record<string, Schema>;

/**
 * The members of a JSON object that say what is in a message: `"data":"…"` where it is UTF-8, else `"data_base64":"…"`, and
 * `,"headers":{…}` where it has any. What `POST /v1/publish` takes as a line.
 */
export function messageMembers(data: Uint8Array, headers: HeaderLists | undefined): string {
  const bytes = bufferOf(data);
  const body = isUtf8(bytes)
    ? `"data":${JSON.stringify(bytes.toString())}`
    : `"data_base64":"${bytes.toString('base64')}"`;
  if (headers === undefined) return body;
  const members = Array.from(
    headers,
    ([name, values]) => `${JSON.stringify(name)}:${JSON.stringify(values.join(', '))}`,
  );
  return members.length === 0 ? body : `${body},"headers":{${members.join(',')}}`;
}
