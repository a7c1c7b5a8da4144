import { BlockList } from 'node:net';

/**
 * Addresses that no endpoint may have, whoever names them: whoever may write an EndpointSlice could otherwise reach through
 * the mesh what the node reaches, above all the credentials that a cloud's metadata service hands out. What is refused of IPv4
 * is refused within NAT64's 64:ff9b::/96 too (RFC 6052), behind which it would be reached.
 */
const REFUSED: readonly (readonly [reason: string, subnets: readonly string[]])[] = [
  // They would pass by every rule that is made for the IPv4 address within: IPv4-mapped and IPv4-compatible (RFC 4291, 2.5.5;
  // `::` and `::1` are none), IPv4-translated (RFC 7915), NAT64 of a prefix of one's own (RFC 8215), 6to4 (RFC 3056).
  [
    'an IPv4 address within IPv6',
    ['::ffff:0:0/96', '::2-::ffff:ffff', '::ffff:0:0:0/96', '64:ff9b:1::/48', '2002::/16'],
  ],
  ['an unspecified address', ['0.0.0.0/8', '::/128']],
  ['a multicast address', ['224.0.0.0/4', 'ff00::/8']],
  ['a link-local address', ['169.254.0.0/16', 'fe80::/10']],
  [
    'the address of a cloud metadata service',
    // Amazon, Google, Oracle, Scaleway; Alibaba, Azure.
    [
      'fd00:ec2::/32',
      'fd20:ce::254/128',
      'fd00:c1::a9fe:a9fe/128',
      'fd00:42::42/128',
      '100.100.100.200/32',
      '168.63.129.16/32',
    ],
  ],
  ['a reserved or broadcast address', ['240.0.0.0/4']],
];

/** Where the node itself listens. In files discovery it is where the endpoints are. */
const LOOPBACK: (typeof REFUSED)[number] = ['a loopback address', ['127.0.0.0/8', '::1/128']];

type Family = 'ipv4' | 'ipv6';

const RULES = {
  allow: rulesOf(REFUSED),
  refuse: rulesOf([...REFUSED, LOOPBACK]),
} as const;

/** One list to tell the many good addresses quickly, and one for each reason. */
interface Rules {
  readonly any: BlockList;
  readonly each: readonly { readonly reason: string; readonly list: BlockList }[];
}

/** By family: to a BlockList the IPv4 addresses within IPv6 are the IPv4 ones. */
function rulesOf(refused: typeof REFUSED): Readonly<Record<Family, Rules>> {
  const rules = (family: Family): Rules => ({
    any: listOf(
      family,
      refused.flatMap(([, subnets]) => subnets),
    ),
    each: refused.map(([reason, subnets]) => ({ reason, list: listOf(family, subnets) })),
  });
  return { ipv4: rules('ipv4'), ipv6: rules('ipv6') };
}

function listOf(family: Family, subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [first = '', last] = subnet.split('-');
    const [address = '', prefix] = first.split('/');
    if (familyOf(address) !== family) {
      if (family === 'ipv6') list.addSubnet(`64:ff9b::${address}`, 96 + Number(prefix), 'ipv6');
    } else if (last === undefined) list.addSubnet(address, Number(prefix), family);
    else list.addRange(address, last, family);
  }
  return list;
}

function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** Why an endpoint must not have this address (canonical, see lib/ip); `undefined` where it may. */
export function refusal(address: string, { loopback }: { loopback: 'allow' | 'refuse' }): string | undefined {
  const family = familyOf(address);
  const { any, each } = RULES[loopback][family];
  return any.check(address, family) ? each.find(({ list }) => list.check(address, family))?.reason : undefined;
}
