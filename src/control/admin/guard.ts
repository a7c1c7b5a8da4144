import type { IncomingMessage } from 'node:http';
import { parseIp } from '../../lib/ip.ts';
import { shown } from '../../lib/shown.ts';
import { Refusal } from './refusal.ts';

/**
 * A page in a browser on this machine can send requests here. One that had its own name resolve to this address (DNS
 * rebinding) would be of the same origin and could read the answers; it cannot help naming itself in Host.
 */
export function checkHost({ headers, rawHeaders }: IncomingMessage): void {
  const count = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  const host = headers.host;
  if (count !== 1 || host === undefined)
    throw new Refusal(400, `Expected one Host header, got ${count === 0 ? 'none' : count}`);
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{0,5})?$/.exec(host);
  const address = name?.[1] ?? name?.[2] ?? '';
  const isLiteral = parseIp(address)?.family === (name?.[1] === undefined ? 'IPv4' : 'IPv6');
  if (isLiteral || address.toLowerCase() === 'localhost') return;
  throw new Refusal(421, `Expected an IP address or localhost as Host (a name could be anybody's), got ${shown(host)}`);
}

/** For what changes or costs something: no page of another origin may have it done. Browsers always say where a page is from. */
export function checkOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  if (origin !== undefined && origin.toLowerCase() !== originOf(host))
    throw new Refusal(403, `Expected no Origin, or the one of this address, got ${shown(origin)}`);
  // A tag such as <img> sends no Origin.
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new Refusal(
      403,
      `Expected a request from the page itself, got one from another site (Sec-Fetch-Site: ${shown(site)})`,
    );
}

function originOf(host: string | undefined): string | undefined {
  return host !== undefined && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).origin : undefined;
}
