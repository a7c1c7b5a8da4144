import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface Zone {
  readonly A: readonly string[];
  readonly AAAA: readonly string[];
  readonly ttl: number;
}

const TYPES: Readonly<Record<number, 'A' | 'AAAA'>> = { 1: 'A', 28: 'AAAA' };
const NXDOMAIN = 3;

/** A DNS server on loopback that knows some names (RFC 1035; UDP only). */
export class DnsServer {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async start(names: Readonly<Record<string, Zone>>): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.on('message', (query, { port, address }) => socket.send(replyTo(query, names), port, address));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  stop(): void {
    this.#socket.close();
  }
}

function replyTo(query: Buffer, names: Readonly<Record<string, Zone>>): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const question = query.subarray(12, at + 5);
  const zone = names[labels.join('.')];
  const type = query.readUInt16BE(at + 1);
  const family = TYPES[type];
  const addresses = zone === undefined || family === undefined ? [] : zone[family];
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  // A response, authoritative, with recursion.
  head.writeUInt16BE(0x8580 | (zone === undefined ? NXDOMAIN : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([head, question, ...addresses.map((address) => record(type, address, zone!.ttl))]);
}

function record(type: number, address: string, ttl: number): Buffer {
  const data = type === 1 ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [before = '', after = ''] = address.split('::');
  const groups = (half: string): string[] => half.split(':').filter((group) => group !== '');
  const [left, right] = [groups(before), groups(after)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
