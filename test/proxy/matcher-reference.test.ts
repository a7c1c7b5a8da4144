import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import type { Entry, FieldMatch, Match, PathMatch } from '../../src/model/routing.ts';
import { FORM, feedHead, type Head, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { Matcher } from '../../src/proxy/route/matcher.ts';

/** The matcher against one that is slow and obvious, over generated tables and requests. */

const LIMITS = { head: 65_536, headers: 200, url: 16_384 };
const TABLES = 2000;
const REQUESTS_OF_A_TABLE = 10;
const heads = new HeadPool(200);

interface Request {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const dice = new SeededDice(7);
function pick<T>(items: readonly T[]): T {
  return items[Math.floor(dice.roll() * items.length)]!;
}
function upTo<T>(most: number, make: () => T): T[] {
  return Array.from({ length: Math.floor(dice.roll() * (most + 1)) }, make);
}
function chance(share: number): boolean {
  return dice.roll() < share;
}

// Few of each, so that much fits; nasty ones, so that much fits nearly.
const ELEMENTS = ['a', 'b', 'ab', 'A', '', 'a%2fb', '%00', '%', 'a;b', '..', '.', '~', 'é', 'x'.repeat(40)];
const METHODS = ['GET', 'POST', 'OPTIONS', 'get', 'GETS', 'G'];
const NAMES = ['x-user', 'x-users', 'x', 'cookie', 'host', 'content-type', 'x-forwarded-for', 'te'];
const KEYS = ['q', 'Q', 'q2', '', 'a b', 'ü', 'é%', '%', 'x-user'];
const VALUES = ['', '1', '12', 'a b', 'a, b', 'A', '%', '%4', 'a=b', '"1"', 'ü', '1; q=1', 'a.shop'];
const PATTERNS = ['^(?:.*)$', '^(?:[0-9]+)$', 'a', '^(?:/a(?:/.*)?)$', '^/.*b$', '^$', '^(?:a, ?b)', '%'];

function path(): string {
  return upTo(4, () => `/${pick(ELEMENTS)}`).join('');
}

function pathMatch(): PathMatch {
  const type = pick(['exact', 'prefix', 'prefix', 'regex'] as const);
  if (type === 'regex') return { type, value: pick(PATTERNS) };
  return { type, value: type === 'exact' ? path() || '/' : path().replace(/\/+$/, '') };
}

function fieldMatch(): FieldMatch {
  const of = pick(['header', 'query', 'cookie'] as const);
  const type = pick(['exact', 'exact', 'regex'] as const);
  const name = pick(of === 'header' ? NAMES : KEYS);
  return { of, name, type, value: pick(type === 'regex' ? PATTERNS : VALUES) };
}

function match(): Match {
  return {
    path: chance(0.85) ? pathMatch() : undefined,
    methods: chance(0.3) ? [...new Set(upTo(3, () => pick(METHODS)))] : [],
    fields: chance(0.5) ? upTo(3, fieldMatch) : [],
  };
}

function coded(text: string): string {
  if (chance(0.3)) return encodeURIComponent(text).replaceAll('%20', '+');
  return Buffer.from(text.replaceAll(' ', '+'))
    .toString('latin1')
    .replace(/[^!-~]/g, encodeURIComponent);
}

function request(): Request {
  const form = pick(['origin', 'origin', 'origin', 'absolute', 'asterisk'] as const);
  const query = chance(0.6)
    ? `?${upTo(4, () => pick([`${coded(pick(KEYS))}=${coded(pick(VALUES))}`, coded(pick(KEYS)), ''])).join('&')}`
    : '';
  const pathOnly = path().replace(/[^!-~]/g, encodeURIComponent);
  const fields = upTo(6, () => {
    const name = pick(NAMES.filter((one) => one !== 'host'));
    const pair = () => pick([`${pick(KEYS)}=${pick(VALUES)}`, pick(VALUES), `${pick(KEYS)} = ${pick(VALUES)}`]);
    const value = name === 'cookie' ? upTo(4, pair).join(pick([';', '; ', ' ; '])) : pick(VALUES);
    return [chance(0.5) ? name : name.toUpperCase(), Buffer.from(value).toString('latin1').trim()] as const;
  });
  const rest = [...fields, ['Host', pick(['a.shop', 'b.shop'])] as const];
  if (form === 'asterisk') return { method: 'OPTIONS', target: '*', fields: rest };
  const target = form === 'absolute' ? `http://a.shop${pathOnly}${query}` : `${pathOnly || '/'}${query}`;
  return { method: pick(METHODS), target, fields: rest };
}

function headOf({ method, target, fields }: Request): Head {
  const head = heads.take();
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const text = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}\r\n`, 'latin1');
  startRequest(head);
  assert.equal(feedHead(head, text, 0, text.length, LIMITS), text.length, `${head.detail}: ${text.toString('latin1')}`);
  return head;
}

/** What one byte after another spells: the text that a comparison by bytes sees. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function referenceFits({ path: expected, methods, fields }: Match, asked: Request): boolean {
  const afterAuthority = asked.target.replace(/^http:\/\/[^/?]*/, '');
  const [pathOnly, query = ''] = splitAt(afterAuthority, '?');
  return (
    pathFits(expected, pathOnly === '' ? '/' : pathOnly) &&
    (methods.length === 0 || methods.includes(asked.method)) &&
    fields.every((field) => {
      const value = valueOf(field, asked, query);
      if (value === undefined) return false;
      return field.type === 'regex' ? new RegExp(field.value).test(value) : value === bytesOf(field.value);
    })
  );
}

function pathFits(expected: PathMatch | undefined, asked: string): boolean {
  if (expected === undefined) return true;
  if (expected.type === 'regex') return new RegExp(expected.value).test(asked);
  const value = bytesOf(expected.value);
  if (expected.type === 'exact') return asked === value;
  return value === '' || asked === value || asked.startsWith(`${value}/`);
}

function valueOf({ of, name }: FieldMatch, asked: Request, query: string): string | undefined {
  const linesOf = (header: string) => asked.fields.filter(([line]) => line.toLowerCase() === header);
  if (of === 'header') {
    const authority = /^http:\/\/([^/?]*)/.exec(asked.target)?.[1];
    if (name === 'host' && authority !== undefined) return authority;
    const lines = linesOf(name).map(([, value]) => value);
    return lines.length === 0 ? undefined : lines.join(name === 'cookie' ? '; ' : ', ');
  }
  const pairs =
    of === 'query'
      ? query.split('&').filter((pair) => pair !== '')
      : linesOf('cookie').flatMap(([, value]) => value.split(';').filter((pair) => pair.includes('=')));
  const plain = (text: string) => (of === 'query' ? decodedText(text) : text.replace(/^[ \t]+|[ \t]+$/g, ''));
  const found = pairs.map((pair) => splitAt(pair, '=')).find(([key]) => plain(key) === bytesOf(name));
  return found && plain(found[1] ?? '');
}

function decodedText(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function splitAt(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

test('finds what a slow and obvious search finds, and says of each entry whether it fits', () => {
  const found = { some: 0, none: 0, absolute: 0 };
  for (let table = 0; table < TABLES; table++) {
    const entries = upTo(12, match).map((one): Entry => ({ match: one, rule: 0, field: '' }));
    const matcher = new Matcher(entries);
    for (let number = 0; number < REQUESTS_OF_A_TABLE; number++) {
      const asked = request();
      const head = headOf(asked);
      const fits = entries.map((entry) => referenceFits(entry.match, asked));
      const told = (): string => JSON.stringify({ asked, entries: entries.map((entry) => entry.match), fits }, null, 1);
      const expected = fits.indexOf(true);
      assert.equal(matcher.find(head, head.pathStart), expected, told());
      const misfits = [...matcher.misfits(head, head.pathStart)];
      assert.deepEqual(
        misfits.map((misfit) => misfit === undefined),
        fits,
        told(),
      );
      found[expected < 0 ? 'none' : 'some']++;
      if (head.form === FORM.absolute) found.absolute++;
      heads.give(head);
    }
  }
  // The generator is worth something only if it comes to both ends.
  assert.ok(
    Math.min(found.some, found.none, found.absolute) > (TABLES * REQUESTS_OF_A_TABLE) / 10,
    JSON.stringify(found),
  );
});
