import type { Dice } from './dice.ts';

/** Bytes and words on which parsers have disagreed. */
const NASTY: readonly string[] = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  '\t',
  ' ',
  '\x0b',
  '\x0c',
  '\x7f',
  '\x80',
  '\xff',
  '\xa0',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '0',
  '-',
  '+',
  '_',
  '#',
  '?',
  '@',
  '[',
  ']',
  '%00',
  '//',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 99999999999999999999\r\n',
  'Content-Length: -1\r\n',
  'Content-Length:\r\n',
  'Content-Length : 3\r\n',
  'Content_Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Transfer-Encoding: \r\n chunked\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Connection: content-length\r\n',
  'Connection: Upgrade\r\nUpgrade: x\r\n',
  'Expect: 100-continue\r\n',
  'Host: other.test\r\n',
  'X-A: b\r\n c\r\n',
  'TE: trailers\r\n',
  '0\r\n\r\n',
  '0\r\nX: y\r\n\r\n',
  '1\r\nx\r\n',
  '5;a=b\r\nhello\r\n',
  'FFFFFFFFFFFFFFFF\r\n',
  '0x5\r\n',
  '00000000000000000005\r\n',
  '5 \r\n',
  '\r\n0\r\n',
  'GET /smuggled HTTP/1.1\r\nHost: svc.test\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON',
  'HTTP/1.1 100 Continue\r\n\r\n',
  ' HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
];

/** A text changed at one place, sometimes at more: a text far from any grammar is refused at its first byte. */
export function mutate(text: string, others: readonly string[], dice: Dice): string {
  let mutated = text;
  for (let change = dice.oneIn(3) ? 1 + dice.roll(4) : 1; change > 0; change--)
    mutated = mutateOnce(mutated, others, dice);
  return mutated.slice(0, 4096);
}

function mutateOnce(text: string, others: readonly string[], dice: Dice): string {
  const at = dice.roll(text.length + 1);
  const length = 1 + dice.roll(dice.oneIn(3) ? 40 : 4);
  switch (dice.roll(11)) {
    case 0: // one byte becomes another
      return text.slice(0, at) + String.fromCharCode(dice.roll(256)) + text.slice(at + 1);
    case 1: // something nasty comes in
      return text.slice(0, at) + dice.pick(NASTY) + text.slice(at);
    case 2: {
      // … at the begin of a line, where it is a field or a chunk
      const line = text.indexOf('\r\n', at);
      return line < 0 ? text : text.slice(0, line + 2) + dice.pick(NASTY) + text.slice(line + 2);
    }
    case 3: // some bytes vanish
      return text.slice(0, at) + text.slice(at + length);
    case 4: // some bytes come twice
      return text.slice(0, at + length) + text.slice(at);
    case 5: // a number changes
      return text.replace(/[0-9]+/g, (number) => (dice.oneIn(3) ? String(Number(number) + dice.roll(5) - 2) : number));
    case 6: // the rest is that of another message
      return text.slice(0, at) + dice.pick(others).slice(dice.roll(200));
    case 7: {
      // two lines change places
      const lines = text.split('\r\n');
      const [first, second] = [dice.roll(lines.length), dice.roll(lines.length)];
      [lines[first], lines[second]] = [lines[second] ?? '', lines[first] ?? ''];
      return lines.join('\r\n');
    }
    case 8: // another message follows
      return text + dice.pick(others);
    default: // after the head only: the framing stays, the body changes
      return mutateBody(text, others, dice);
  }
}

function mutateBody(text: string, others: readonly string[], dice: Dice): string {
  const head = text.indexOf('\r\n\r\n') + 4;
  return head < 4 || head === text.length
    ? text + dice.pick(others)
    : text.slice(0, head) + mutateOnce(text.slice(head), others, dice);
}

/** Makes a failing text smaller, piece by piece, as long as it still fails. */
export async function shrink(text: string, fails: (text: string) => Promise<boolean>, triesMax = 300): Promise<string> {
  let smallest = text;
  let tries = 0;
  for (
    let size = Math.ceil(smallest.length / 2);
    size >= 1 && tries < triesMax;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < smallest.length && tries < triesMax; tries++) {
      const shorter = smallest.slice(0, at) + smallest.slice(at + size);
      if (shorter !== '' && (await fails(shorter))) smallest = shorter;
      else at += size;
    }
  }
  return smallest;
}
