import { hashStep } from './fields.ts';

/**
 * Host field or authority of a target, `host[:port]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2), read in one pass.
 * Stricter than the grammar: a name consists of letters, digits, `-`, `.` and `_`; percent-encoding, user information and
 * the sub-delims have no use in the name of a Service and much in an attack.
 */
export class Authority {
  /** Offsets from `base`. Brackets of an IPv6 address are outside. */
  hostStart = 0;
  hostEnd = 0;
  /** -1: none given. */
  port = -1;
  /** Over the lower-case octets of the host, without a trailing dot. */
  hash = 0;
  ipv6 = false;
  /** Has at least one dot, as `name.namespace` has. */
  dotted = false;

  /** Of a request that has none. */
  clear(): void {
    this.hostStart = 0;
    this.hostEnd = 0;
    this.port = -1;
    this.hash = 0;
    this.ipv6 = false;
    this.dotted = false;
  }

  /**
   * Parses `bytes[start, end)`. False: malformed; an empty host is so in an http URI (RFC 9110 section 4.2.1).
   * @param base from which the offsets count: where the head starts.
   */
  parse(bytes: Uint8Array, base: number, start: number, end: number): boolean {
    this.clear();
    if (start === end || end - start > HOST_BYTES_MAX) return false;
    this.hostStart = start - base;
    const portStart =
      bytes[start] === OPEN ? this.#parseIpv6(bytes, base, start, end) : this.#parseName(bytes, base, start, end);
    return portStart > 0 && this.#parsePort(bytes, portStart, end);
  }

  /** Returns where the port would start, or -1. */
  #parseName(bytes: Uint8Array, base: number, start: number, end: number): number {
    let hash = 0;
    let at = start;
    for (; at < end; at++) {
      const octet = NAME[bytes[at]!]!;
      if (octet === 0) break;
      if (octet === DOT) {
        if (at === start || bytes[at - 1] === DOT) return -1;
        // A trailing dot makes the name absolute and means the same here.
        if (at + 1 === end || bytes[at + 1] === COLON) {
          this.hostEnd = at - base;
          this.hash = hash;
          return at + 1;
        }
        this.dotted = true;
      }
      hash = hashStep(hash, octet);
    }
    this.hostEnd = at - base;
    this.hash = hash;
    return at > start ? at : -1;
  }

  #parseIpv6(bytes: Uint8Array, base: number, start: number, end: number): number {
    let hash = 0;
    let at = start + 1;
    for (; at < end && bytes[at] !== CLOSE; at++) {
      const octet = NAME[bytes[at]!]!;
      const hex = (octet >= 48 && octet <= 57) || (octet >= 97 && octet <= 102);
      if (!hex && bytes[at] !== COLON && octet !== DOT) return -1;
      hash = hashStep(hash, octet === 0 ? COLON : octet);
    }
    if (at === end || at === start + 1) return -1;
    this.hostStart = start + 1 - base;
    this.hostEnd = at - base;
    this.hash = hash;
    this.ipv6 = true;
    return at + 1;
  }

  #parsePort(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) return true;
    if (bytes[start] !== COLON) return false;
    // RFC 3986 section 3.2.3 allows an empty port: it means the default.
    if (start + 1 === end) return true;
    if (end - start > 6) return false;
    let port = 0;
    for (let at = start + 1; at < end; at++) {
      const digit = bytes[at]! - 48;
      if (digit < 0 || digit > 9) return false;
      port = port * 10 + digit;
    }
    this.port = port;
    return port > 0 && port <= 65_535;
  }
}

/** A DNS name has at most 253 octets; the rest is room for a port and a dot. */
const HOST_BYTES_MAX = 264;
const DOT = 46;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
/** Lower-case form of an octet that a name may have, else 0. */
const NAME = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._') {
  NAME[char.charCodeAt(0)] = char.toLowerCase().charCodeAt(0);
}
