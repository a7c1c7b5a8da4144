import { shown } from './shown.ts';

/**
 * The grammar of NATS subjects and names, as far as a client of ours may use it: stricter than servers are, which take control
 * bytes and wildcards in a published subject (ADR-6 says what a subject is; bridge.md section 6 why we check).
 */

const TOKENS_MAX = 16;
const BYTES_MAX = 256;
const NAME_BYTES_MAX = 255;
const DOLLAR = 36;
const STAR = 42;
const DOT = 46;
const ABOVE = 62;
/** Replies travel there: other people's, and those of our own links (`_INBOX_…`). */
const INBOX = '_INBOX';

/** Why this is no literal subject that a client may name; undefined: it is one. */
export function subjectRefusal(text: string): string | undefined {
  return refusal(text, false);
}

/** Why this is no pattern that a client may name: as a subject, where `*` stands for one token and `>` for all that follow. */
export function patternRefusal(text: string): string | undefined {
  return refusal(text, true);
}

/**
 * Why nobody may subscribe to this pattern, whatever was granted to him: it would match what the server and other people's
 * replies use. Literal first tokens of that kind are refused as malformed already.
 */
export function reservedRefusal(pattern: string): string | undefined {
  const first = pattern.charCodeAt(0);
  if (first !== STAR && first !== ABOVE) return undefined;
  return `Expected a literal first token, got ${shown(pattern)}, which matches subjects under $ and ${INBOX} too`;
}

function refusal(text: string, wildcards: boolean): string | undefined {
  const what = wildcards ? 'a pattern of subjects' : 'a subject';
  if (text.length === 0) return `Expected ${what}, got nothing`;
  if (text.length > BYTES_MAX) return `Expected ${what} of at most ${BYTES_MAX} bytes, got ${text.length}`;
  if (text.charCodeAt(0) === DOLLAR || startsAsInbox(text))
    return `Expected ${what} outside of $ and ${INBOX}, got ${shown(text)}`;
  let tokens = 1;
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    const char = at === text.length ? DOT : text.charCodeAt(at);
    if (char === DOT) {
      if (at === start) return `Expected tokens with a dot between each two, got ${shown(text)}`;
      if (at < text.length) tokens++;
      start = at + 1;
    } else if (char < 33 || char > 126) {
      return `Expected visible ASCII characters, got ${shown(text)}`;
    } else if (char === STAR || char === ABOVE) {
      if (!wildcards) return `Expected a subject without wildcards, got ${shown(text)}`;
      const alone = at === start && (at + 1 === text.length || text.charCodeAt(at + 1) === DOT);
      if (!alone) return `Expected wildcards to be tokens of their own, got ${shown(text)}`;
      if (char === ABOVE && at + 1 < text.length) return `Expected > to be the last token, got ${shown(text)}`;
    }
  }
  if (tokens > TOKENS_MAX) return `Expected ${what} of at most ${TOKENS_MAX} tokens, got ${tokens}`;
  return undefined;
}

/** In any case: servers know one, but nobody needs a subject that looks like it. */
function startsAsInbox(text: string): boolean {
  return text.length >= INBOX.length && text.slice(0, INBOX.length).toUpperCase() === INBOX;
}

/** Why this is no name of a stream, a consumer, a queue group or a bucket (restricted-term of ADR-6). */
export function nameRefusal(text: string): string | undefined {
  if (text.length === 0) return 'Expected a name, got nothing';
  if (text.length > NAME_BYTES_MAX) return `Expected a name of at most ${NAME_BYTES_MAX} bytes, got ${text.length}`;
  for (let at = 0; at < text.length; at++)
    if (!isNameChar(text.charCodeAt(at))) return `Expected a name of letters, digits, - and _, got ${shown(text)}`;
  return undefined;
}

/** Why this is no key of a bucket (ADR-8). */
export function keyRefusal(text: string): string | undefined {
  return keysRefusal(text, false);
}

/** Why this names no keys of a bucket: a key, or one with wildcards as a pattern has them. */
export function keyPatternRefusal(text: string): string | undefined {
  return keysRefusal(text, true);
}

function keysRefusal(text: string, wildcards: boolean): string | undefined {
  const shape = refusal(text, wildcards);
  if (shape !== undefined)
    return shape.replace('a pattern of subjects', 'a pattern of keys').replace('a subject', 'a key');
  // ADR-8 keeps this prefix for clients.
  if (text.startsWith('_kv')) return `Expected a key that does not begin with _kv, got ${shown(text)}`;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    // A wildcard is where it may be, if it may.
    if (isNameChar(char) || char === 47 || char === 61 || char === DOT || char === STAR || char === ABOVE) continue;
    return `Expected a key of letters, digits, - _ / = and dots, got ${shown(text)}`;
  }
  return undefined;
}

function isNameChar(char: number): boolean {
  return (
    (char >= 97 && char <= 122) ||
    (char >= 65 && char <= 90) ||
    (char >= 48 && char <= 57) ||
    char === 45 ||
    char === 95
  );
}

/** Does the pattern match this literal subject? */
export function matches(pattern: string, subject: string): boolean {
  return covers(pattern, subject);
}

/** Does `pattern` match every subject that `other` matches? The subset test: `orders.*` does not cover `orders.>`. */
export function covers(pattern: string, other: string): boolean {
  let at = 0;
  let otherAt = 0;
  for (;;) {
    const end = tokenEnd(pattern, at);
    const otherEnd = tokenEnd(other, otherAt);
    if (isWildcard(pattern, at, end, ABOVE)) return true;
    if (isWildcard(other, otherAt, otherEnd, ABOVE)) return false;
    if (!isWildcard(pattern, at, end, STAR) && !sameToken(pattern, at, end, other, otherAt, otherEnd)) return false;
    if (end === pattern.length || otherEnd === other.length) return end === pattern.length && otherEnd === other.length;
    at = end + 1;
    otherAt = otherEnd + 1;
  }
}

/** Is there a subject that both patterns match? */
export function overlaps(a: string, b: string): boolean {
  let atA = 0;
  let atB = 0;
  for (;;) {
    const endA = tokenEnd(a, atA);
    const endB = tokenEnd(b, atB);
    if (isWildcard(a, atA, endA, ABOVE) || isWildcard(b, atB, endB, ABOVE)) return true;
    const either = isWildcard(a, atA, endA, STAR) || isWildcard(b, atB, endB, STAR);
    if (!either && !sameToken(a, atA, endA, b, atB, endB)) return false;
    if (endA === a.length || endB === b.length) return endA === a.length && endB === b.length;
    atA = endA + 1;
    atB = endB + 1;
  }
}

function tokenEnd(text: string, start: number): number {
  const dot = text.indexOf('.', start);
  return dot === -1 ? text.length : dot;
}

function isWildcard(text: string, start: number, end: number, wildcard: number): boolean {
  return end - start === 1 && text.charCodeAt(start) === wildcard;
}

function sameToken(a: string, atA: number, endA: number, b: string, atB: number, endB: number): boolean {
  if (endA - atA !== endB - atB) return false;
  for (let offset = 0; offset < endA - atA; offset++)
    if (a.charCodeAt(atA + offset) !== b.charCodeAt(atB + offset)) return false;
  return true;
}
