import { isIPv4, isIPv6 } from 'node:net';

/** Reads a block of addresses (`10.0.0.0/8`, `fd00::/8`); an address alone is a block of one. */
export function parseCidr(
  text: string,
): { readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const longest = family === 'ipv4' ? 32 : 128;
  // A zone (fe80::1%eth0) names an interface, not an address.
  if (!(family === 'ipv4' || isIPv6(address)) || address.includes('%') || rest.length > 0) return undefined;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > longest)) return undefined;
  return { address, prefix: length === undefined ? longest : Number(length), family };
}
