import type { PathEdit, PathMatch } from '../../model/routing.ts';
import { ASTERISK, FORM, type Head, PATH_AS_IT_IS, SLASH } from '../http.ts';

/** Path and query that go on: what stands before, and the target from there on. */
export interface PathPlace {
  /** Of the target: of the path, or of what is left of it, or of the query. */
  pathStart: number;
  pathPrefix: Buffer;
}

const SLASH_OCTET = 47;

/**
 * Rewrites the path (HTTPPathModifier of Gateway API); the query stays. A prefix is replaced by whole elements, with one slash
 * between what it becomes and what follows; a path that does not have the prefix stays as it is. So does what names no resource:
 * `*` and the target of CONNECT (RFC 9112 section 3.2).
 * @param place as a decision has it: no other edit came before.
 * @param by bytes of `edit.by`.
 * @param matched what the path fitted; undefined: any path does.
 */
export function editPath(
  head: Head,
  place: PathPlace,
  edit: PathEdit,
  by: Buffer,
  matched: PathMatch | undefined,
): void {
  if (hasNoPath(head, place)) return;
  const end = head.pathEnd(place.pathStart);
  if (edit.replace === 'path') {
    place.pathPrefix = by.length > 0 ? by : SLASH;
    place.pathStart = end;
    return;
  }
  const prefix = edit.prefix ?? prefixOf(matched);
  if (prefix === undefined || !hasPrefix(head, place, end, prefix)) return;
  // An absolute form without a path: RFC 9110 section 4.2.3 has it equal one of `/`, whose slash is nowhere among the bytes.
  if (place.pathPrefix === SLASH) place.pathPrefix = endsInSlash(by) ? by : Buffer.concat([by, SLASH]);
  else join(place, by, place.pathStart + prefix.length, end);
}

/** `*`, or the authority of a CONNECT. */
export function hasNoPath(head: Head, { pathPrefix }: PathPlace): boolean {
  return head.form === FORM.asterisk || head.form === FORM.authority || pathPrefix === ASTERISK;
}

/** Undefined: what the path fitted has no prefix. */
function prefixOf(matched: PathMatch | undefined): string | undefined {
  if (matched === undefined) return '';
  return matched.type === 'prefix' ? matched.value : undefined;
}

function hasPrefix(head: Head, { pathStart }: PathPlace, end: number, prefix: string): boolean {
  const behind = pathStart + prefix.length;
  if (behind > end || (behind < end && head.bytes[head.base + behind] !== SLASH_OCTET)) return false;
  for (let index = 0; index < prefix.length; index++) {
    if (head.bytes[head.base + pathStart + index] !== prefix.charCodeAt(index)) return false;
  }
  return true;
}

/** `by`, and what follows the prefix: nothing, or a slash and more. */
function join(place: PathPlace, by: Buffer, rest: number, end: number): void {
  if (rest === end) {
    place.pathPrefix = by.length > 0 ? by : SLASH;
    place.pathStart = end;
  } else {
    place.pathPrefix = by.length > 0 ? by : PATH_AS_IT_IS;
    place.pathStart = endsInSlash(by) ? rest + 1 : rest;
  }
}

function endsInSlash(by: Buffer): boolean {
  return by.at(-1) === SLASH_OCTET;
}
