import { parse } from 'yaml';
import type { Dice } from '../../fuzz/dice.ts';

/** Values that are no value here, or one of another kind, or one that somebody hopes to do harm with. */
const VALUES: readonly unknown[] = [
  null,
  '',
  ' ',
  0,
  -1,
  0.5,
  1e9,
  2 ** 53,
  true,
  [],
  {},
  [[]],
  [{}],
  'x'.repeat(2000),
  '__proto__',
  'constructor',
  '../..',
  '\u0000',
  'e\u0301\u202e',
  '*',
  '.*',
  '(a+)+$',
  '(?=x)',
  '(a)\\1',
  '[',
  'a{1,1000}',
  '/',
  '//',
  '/%2f',
  '/a?b#c',
  '1h',
  '999999999h',
  '5x',
  '100%',
  '101%',
  '0s',
  'on',
  '5xx',
  'consecutive=0',
  '20% + 10/s over 0s',
  'path[99999999999]',
  '1ms..99999h',
  '((((',
  'Service',
  'Subject',
  'nats:x?request',
  'a=1, b=2',
  'orders=1',
  'orders if path=/x',
  'set host=x',
  'set a=b\r\nc: d',
  'transfer-encoding',
  'GET POST',
  '10.0.0.1',
  '169.254.169.254',
  '127.0.0.1:4140',
];

/** A manifest of one object, changed at one place or at a few: as text, or one of its values. */
export function mutated(text: string, others: readonly string[], dice: Dice): string {
  if (dice.oneIn(3)) return textMutated(text, others, dice);
  const object = parse(text) as unknown;
  for (let left = 1 + (dice.oneIn(3) ? dice.roll(3) : 0); left > 0; left--) changeValue(object, others, dice);
  return JSON.stringify(object);
}

function textMutated(text: string, others: readonly string[], dice: Dice): string {
  const at = dice.roll(text.length + 1);
  const length = 1 + dice.roll(dice.oneIn(3) ? 60 : 4);
  switch (dice.roll(7)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at + length) + text.slice(at);
    case 2:
      return text.slice(0, at) + String.fromCharCode(32 + dice.roll(224)) + text.slice(at + 1);
    case 3:
      return (
        text.slice(0, at) +
        dice.pick([': ', '\n', '- ', '{', '}', '[', ']', "'", '&a ', '*a', '\n---\n', '#', '\t', '\u0000']) +
        text.slice(at)
      );
    case 4:
      return text.slice(0, at);
    case 5: {
      const lines = text.split('\n');
      const [from, to] = [dice.roll(lines.length), dice.roll(lines.length)];
      [lines[from], lines[to]] = [lines[to]!, lines[from]!];
      return lines.join('\n');
    }
    default:
      return text.slice(0, at) + dice.pick(others).slice(dice.roll(400));
  }
}

type Spot = { readonly holder: Record<string, unknown>; readonly key: string };

function changeValue(object: unknown, others: readonly string[], dice: Dice): void {
  const spots = spotsIn(object);
  if (spots.length === 0) return;
  const { holder, key } = dice.pick(spots);
  const value = holder[key];
  switch (dice.roll(6)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      return;
    case 1:
      if (Array.isArray(value)) holder[key] = Array.from({ length: 2 + dice.roll(40) }, () => value).flat();
      else holder[key] = [value];
      return;
    case 2:
      holder[key] = typeof value === 'string' ? textMutated(value, [value], dice) : dice.pick(VALUES);
      return;
    case 3: {
      // Something that is right elsewhere.
      const spot = dice.pick(spotsIn(parse(dice.pick(others)) as unknown));
      holder[key] = spot.holder[spot.key];
      return;
    }
    case 4:
      if (typeof value === 'object' && value !== null && !Array.isArray(value))
        (value as Record<string, unknown>)[String(dice.pick(VALUES))] = dice.pick(VALUES);
      else holder[key] = dice.pick(VALUES);
      return;
    default:
      holder[key] = dice.pick(VALUES);
  }
}

/** Every value within but those that say what kind of object it is: others are not read at all. */
function spotsIn(object: unknown): readonly Spot[] {
  if (typeof object !== 'object' || object === null) return [];
  const holder = object as Record<string, unknown>;
  const spots: Spot[] = [];
  for (const key of Object.keys(holder)) {
    if (key !== 'apiVersion') spots.push({ holder, key }, ...spotsIn(holder[key]));
  }
  return spots;
}
