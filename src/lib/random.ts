import { randomFillSync } from 'node:crypto';

/**
 * Random bytes from a pool: one call to the generator for hundreds of ids, because a call per request costs more than the
 * rest of its work (14.7 µs against under 2 µs).
 */
const pool = Buffer.allocUnsafeSlow(8192);
let used = pool.length;

const HEX = Buffer.from('0123456789abcdef', 'latin1');
/** Length of an id as text. */
export const ID_LENGTH = 36;

/** Writes a random UUID (RFC 9562, version 4) as text. Returns the offset behind it. */
export function writeRandomId(target: Uint8Array, at: number): number {
  const from = take(16);
  let to = at;
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) target[to++] = 45;
    let byte = pool[from + index]!;
    if (index === 6) byte = (byte & 0x0f) | 0x40;
    else if (index === 8) byte = (byte & 0x3f) | 0x80;
    target[to++] = HEX[byte >> 4]!;
    target[to++] = HEX[byte & 15]!;
  }
  return to;
}

/** Writes so many random bytes (at most 8192) as lower-case hexadecimal digits. Returns the offset behind them. */
export function writeRandomHex(target: Uint8Array, at: number, bytes: number): number {
  const from = take(bytes);
  let to = at;
  for (let index = 0; index < bytes; index++) {
    const byte = pool[from + index]!;
    target[to++] = HEX[byte >> 4]!;
    target[to++] = HEX[byte & 15]!;
  }
  return to;
}

/** So many random bytes (at most 8192) as lower-case hexadecimal digits. */
export function randomHex(bytes: number): string {
  const digits = Buffer.allocUnsafe(2 * bytes);
  writeRandomHex(digits, 0, bytes);
  return digits.toString('latin1');
}

/** @returns where so many bytes start in the pool that nobody has had. */
function take(bytes: number): number {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const from = used;
  used += bytes;
  return from;
}
