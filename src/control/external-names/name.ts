import { parseIp } from '../../lib/ip.ts';
import { shown } from '../../lib/shown.ts';

const NAME_LENGTH_MAX = 253;
/** RFC 1123, 2.1: what the API server takes too. */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
/** `127.1` and `0x7f000001` are addresses for many readers: the last label of a host name is never a number (RFC 1123, 2.1). */
const NUMBER = /^(?:\d+|0x[0-9a-f]*)$/;

/** The one spelling of a name that may be asked of DNS, or what is wrong with it. */
export type NameReading = { readonly name: string } | { readonly expected: string; readonly got: string };

/**
 * Reads `spec.externalName`. What could mean this machine or this cluster by abbreviation is refused: names are asked as they
 * are, without any search list.
 */
export function readName(externalName: string): NameReading {
  const name = externalName.toLowerCase().replace(/\.$/, '');
  const labels = name.split('.');
  const fault = faultOf(name, labels);
  if (fault === '') return { name };
  return {
    expected: 'a DNS name outside of this machine, as pay.example.org',
    got: `${shown(externalName)}, ${fault}`,
  };
}

function faultOf(name: string, labels: readonly string[]): string {
  const last = labels.at(-1)!;
  if (parseIp(name) !== undefined || NUMBER.test(last)) return 'an address';
  // RFC 6761, 6.3: all names below it are this machine too.
  if (last === 'localhost') return 'which means this machine';
  if (name.length > NAME_LENGTH_MAX || !labels.every((label) => LABEL.test(label))) return 'not a DNS name';
  return labels.length === 1 ? 'a single label' : '';
}
