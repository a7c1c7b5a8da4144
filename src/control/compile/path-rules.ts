import { shown } from '../../lib/shown.ts';

/** What was expected of a text, and what was got. */
export interface TextRefusal {
  readonly expected: string;
  readonly got: string;
}

/** RFC 3986 section 3.3: what a path may be made of. */
const PATH = /^(?:\/(?:[-\w.~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)+$/;
const CHARS_MAX = 1024;
/** What servers read as another path than it looks: proxies and servers join, skip or decode it, each in its own way. */
const AMBIGUOUS = /\/\/|\/\.{1,2}(?:\/|$)|%2f/i;

/** Why a path is none that rules may look for or write (HTTPPathMatch of Gateway API); undefined: it is one. */
export function pathRefusal(path: string): TextRefusal | undefined {
  if (path.length <= CHARS_MAX && PATH.test(path) && !AMBIGUOUS.test(path)) return undefined;
  const expected =
    `a path of at most ${CHARS_MAX} characters that begins with /, as it stands in a URI (RFC 3986), without //, dot segments, ` +
    '%2F, ? and #';
  return { expected, got: shown(path) };
}

/** A path without the slash at its end, so that that of `/` is empty: prefixes go by whole elements. */
export function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

const HOST = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/;

/** Why a text is no host to send others to (PreciseHostname of Gateway API); undefined: it is one. */
export function hostRefusal(host: string): TextRefusal | undefined {
  if (host.length <= 253 && HOST.test(host)) return undefined;
  return { expected: 'a DNS name in small letters, without a port', got: shown(host) };
}
