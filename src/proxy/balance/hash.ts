/**
 * Hashes that all workers and all nodes compute alike: what keeps requests together must lead everybody to one endpoint. Without a
 * secret for that reason: who chooses his key chooses his endpoint.
 */

const FNV_START = 0x811c9dc5 | 0;

/** FNV-1a over the characters, mixed: addresses that differ in one digit have nothing in common afterwards. */
export function hashText(text: string): number {
  let hash = FNV_START;
  for (let at = 0; at < text.length; at++) hash = step(hash, text.charCodeAt(at));
  return mixed(hash);
}

/** The same over `bytes[start, end)`. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_START;
  for (let at = start; at < end; at++) hash = step(hash, bytes[at]!);
  return mixed(hash);
}

/** The same order wherever they stand: for what depends on one. */
export function inOneOrder<T extends { readonly key: string }>(endpoints: readonly T[]): readonly T[] {
  return endpoints
    .map((endpoint) => ({ endpoint, hash: hashText(endpoint.key) }))
    .toSorted((one, other) => one.hash - other.hash || (one.endpoint.key < other.endpoint.key ? -1 : 1))
    .map(({ endpoint }) => endpoint);
}

/** Each bit of the result depends on each bit of the number: the finish of MurmurHash3. */
export function mixed(number: number): number {
  let bits = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function step(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}
