import type { HashKey } from '../../model/resilience.ts';
import { type Head, type Source, UNBELIEVED, UNBELIEVED_OF_TRUSTED } from '../http.ts';
import { RequestFields } from '../route.ts';
import { hashBytes } from './hash.ts';

const SLASH = 47;
const QUESTION = 63;

/**
 * Reads what keeps requests together from their heads (`lb-hash-on`), as matches of rules read it: several lines of a header are one
 * value, a query is decoded. A path is taken as it was sent. What is absent or empty says nothing: such a request goes by its source.
 */
export class KeyReader {
  readonly #key: HashKey;
  /** With one field, whose number is 0. */
  readonly #fields: RequestFields;

  constructor(key: HashKey) {
    this.#key = key;
    this.#fields = new RequestFields('name' in key ? [key] : []);
  }

  /** @param pathStart where the path begins that rules look at. */
  hash(head: Head, source: Source, pathStart: number): number {
    const key = this.#key;
    if (key.of === 'source') return source.hash;
    if (key.of === 'path') return hashOfElement(head, pathStart, key.index) ?? source.hash;
    const fields = this.#fields;
    fields.begin(head, pathStart, source.trusted ? UNBELIEVED_OF_TRUSTED : UNBELIEVED);
    const value = fields.value(key.of, 0);
    const hash =
      value === undefined || value.start === value.end ? undefined : hashBytes(value.bytes, value.start, value.end);
    fields.clear();
    return hash ?? source.hash;
  }
}

/** Undefined: the path has no such element. */
function hashOfElement({ bytes, base, targetEnd }: Head, pathStart: number, index: number): number | undefined {
  const end = base + targetEnd;
  let left = index;
  // RFC 9112 section 3.2.2: an absolute form need not have a path.
  let start = base + pathStart + (bytes[base + pathStart] === SLASH ? 1 : 0);
  for (let at = start; ; at++) {
    const ends = at >= end || bytes[at] === QUESTION;
    if (!ends && bytes[at] !== SLASH) continue;
    if (left === 0) return at > start ? hashBytes(bytes, start, at) : undefined;
    if (ends) return undefined;
    left--;
    start = at + 1;
  }
}
