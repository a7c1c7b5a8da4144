import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export interface Ip {
  /** The one canonical text (RFC 5952), so that equal addresses are equal strings. */
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
}

/**
 * Reads a literal IP address. IPv4 octets with leading zeros are refused (they are octal for some readers and decimal for
 * others), and so are IPv6 zones, which mean something on one machine only.
 */
export function parseIp(text: string): Ip | undefined {
  if (isIPv4(text)) return { address: text, family: 'IPv4' };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return { address: new SocketAddress({ address: text, family: 'ipv6' }).address, family: 'IPv6' };
}
