import type { PathMatch, Redirect } from '../../model/routing.ts';
import type { Head } from '../http.ts';
import { editPath, hasNoPath, type PathPlace } from './path-edit.ts';

/** The part of a decision that tells where a redirect starts from. */
export interface Redirected extends Readonly<PathPlace> {
  /** What named the Service. */
  readonly by: 'listener' | 'authority' | 'bare-name' | 'path' | 'header';
}

const WELL_KNOWN = { http: 80, https: 443 } as const;
/** What RFC 3986 section 3.4 does not allow in path and query: browsers take some of it for something else, `\` for `/`. */
const NOT_OF_A_URI = /[^\w\-.~!$&'()*+,;=:@/?%]|%(?![\dA-Fa-f]{2})/g;

/**
 * Location of a redirect (HTTPRequestRedirectFilter of Gateway API): a URI (RFC 3986) of the request's own parts, but for those
 * that the redirect says. A request that names its Service in the path goes on naming it there, unless another host is meant.
 * @param servicePort that the request means: it stands for the port of a Gateway's listener.
 * @param matched what the path fitted.
 */
export function redirectLocation(
  head: Head,
  redirect: Redirect,
  from: Redirected,
  servicePort: number,
  matched: PathMatch | undefined,
): string {
  const path = (redirect.host === '' ? servicePath(head, from) : '') + redirectedPath(head, redirect, from, matched);
  const uriPath = path.replaceAll(NOT_OF_A_URI, percentEncoded);
  const host = redirect.host === '' ? hostOf(head) : redirect.host;
  // An HTTP/1.0 client that names no host. A path alone must not look like an authority (RFC 3986 section 4.2).
  if (host === '') return uriPath.startsWith('//') ? `/.${uriPath}` : uriPath;
  const scheme = redirect.scheme === '' ? 'http' : redirect.scheme;
  const port = redirectedPort(head, redirect, from, servicePort);
  return `${scheme}://${host}${port === WELL_KNOWN[scheme] ? '' : `:${port}`}${uriPath}`;
}

function redirectedPort(head: Head, { scheme, host, port }: Redirect, { by }: Redirected, servicePort: number): number {
  if (port > 0) return port;
  if (scheme !== '') return WELL_KNOWN[scheme];
  // An authority that is not the Service's: the client comes back to where it is.
  if (host === '' && (by === 'path' || by === 'header'))
    return head.authority.port > 0 ? head.authority.port : WELL_KNOWN.http;
  return servicePort;
}

/** The part of the path that named the Service; empty: it has none. */
function servicePath(head: Head, { by, pathStart }: Redirected): string {
  return by === 'path' ? head.text(head.pathStart, pathStart) : '';
}

function redirectedPath(
  head: Head,
  { path: edit }: Redirect,
  { pathStart, pathPrefix }: Redirected,
  matched: PathMatch | undefined,
): string {
  const place = { pathStart, pathPrefix };
  // A URI without a path means the server as a whole (RFC 9112 section 3.2.4).
  if (hasNoPath(head, place)) return '';
  if (edit !== undefined) editPath(head, place, edit, Buffer.from(edit.by, 'latin1'), matched);
  return place.pathPrefix.toString('latin1') + head.text(place.pathStart, head.targetEnd);
}

/** Without port, an IPv6 address in brackets; empty: the request names none. */
function hostOf(head: Head): string {
  const { hostStart, hostEnd, ipv6 } = head.authority;
  const host = head.text(hostStart, hostEnd);
  return ipv6 ? `[${host}]` : host;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
