import { BlockList } from 'node:net';

/**
 * Addresses that no endpoint may have, whoever names them: whoever may write an EndpointSlice could otherwise reach through
 * the mesh what the node reaches, above all the credentials that a cloud's metadata service hands out. Loopback is not among
 * them: in files discovery it is where the endpoints are.
 */
const REFUSED: readonly (readonly [string, BlockList])[] = [
  ['an unspecified address', subnets('0.0.0.0/8', '::/128')],
  ['a multicast address', subnets('224.0.0.0/4', 'ff00::/8')],
  // 64:ff9b:: is NAT64 (RFC 6052): the last line of defence is to look at the IPv4 address within.
  ['a link-local address', subnets('169.254.0.0/16', 'fe80::/10', '64:ff9b::a9fe:0/112')],
  [
    'the address of a cloud metadata service',
    subnets('fd00:ec2::/32', 'fd20:ce::254/128', '100.100.100.200/32', '168.63.129.16/32'),
  ],
  ['a reserved or broadcast address', subnets('240.0.0.0/4')],
];

/** An IPv4 address in the clothes of IPv6 (RFC 4291, 2.5.5) would pass by every rule that is made for the IPv4 one. */
const EMBEDDED_IPV4 = subnets('::ffff:0:0/96');

function subnets(...texts: string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', prefix] = text.split('/');
    list.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** Why an endpoint must not have this address (canonical, see lib/ip); `undefined` where it may. */
export function refusal(address: string): string | undefined {
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  if (family === 'ipv6' && EMBEDDED_IPV4.check(address, family)) return 'an IPv4 address within IPv6';
  return REFUSED.find(([, list]) => list.check(address, family))?.[0];
}
