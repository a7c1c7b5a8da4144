/** Whatever the values of a route are: it compiles, and harms nobody but itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import type { RouteResource } from '../../../src/model/route-resource.ts';
import { LineEdits } from '../../../src/proxy/http/line-edits.ts';
import { linearRegExp } from '../../../src/lib/linear-regexp.ts';
import { Cluster, compiled, filter, header, objectRef, path, problemsOf, route, rule, to } from './routes.ts';

const TEXTS = [
  '',
  '/',
  '//',
  'a',
  'Host',
  'TE',
  'x-heddle-a',
  '*',
  'a\r\nb',
  '\u0000',
  'ä',
  '\ud800',
  '__proto__',
  'constructor',
];
const MORE_TEXTS = [
  '(?=a)',
  '(((',
  'a{999}',
  '[',
  '\\',
  '0s',
  '-1s',
  '99999h',
  'Service',
  'Subject',
  'heddle.dev',
  'ExtensionRef',
];
const NUMBERS = [0, -1, 1, 99, 101, 65_536, 1e9, 0.5, NaN, Infinity];

/** Everything that a route can have. */
const WHOLE = route({
  namespace: 'web',
  hostnames: ['a.example'],
  rules: [
    rule({
      name: 'a',
      matches: [
        path('RegularExpression', '/a.*', {
          method: 'GET',
          headers: [header('a', 'b')],
          queryParams: [header('q', 'r')],
        }),
      ],
      filters: [
        filter('RequestHeaderModifier', {
          requestHeaderModifier: { set: [{ name: 'a', value: 'b' }], add: [{ name: 'c', value: 'd' }], remove: ['e'] },
        }),
        filter('RequestMirror', { requestMirror: { backendRef: objectRef('a'), percent: 5, fraction: undefined } }),
        filter('URLRewrite', {
          urlRewrite: {
            hostname: 'a.example',
            path: { type: 'ReplaceFullPath', replaceFullPath: '/x', replacePrefixMatch: undefined },
          },
        }),
        filter('CORS', {
          cors: {
            allowOrigins: ['https://a.example'],
            allowMethods: ['GET'],
            allowHeaders: ['a'],
            exposeHeaders: ['b'],
            allowCredentials: true,
            maxAge: 5,
          },
        }),
      ],
      backendRefs: [
        to('orders', {
          filters: [filter('ResponseHeaderModifier', { responseHeaderModifier: { set: [], add: [], remove: ['a'] } })],
        }),
      ],
      timeouts: { request: '1s', backendRequest: '1s' },
      retry: { attempts: 1, codes: [503], backoff: '1s' },
      sessionPersistence: { type: 'Cookie', name: 'a', absoluteTimeout: '1h', lifetimeType: 'Session', path: '/' },
    }),
  ],
});

/** The same with another value somewhere. */
function mutated(value: unknown, dice: SeededDice): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(dice.roll() * list.length)]!;
  if (typeof value === 'string') return pick([...TEXTS, ...MORE_TEXTS, `${value}${pick(TEXTS)}`, value.repeat(2000)]);
  if (typeof value === 'number') return pick(NUMBERS);
  if (Array.isArray(value)) {
    if (dice.roll() < 0.1) return [];
    if (dice.roll() < 0.1) return [...value, ...value];
    const at = Math.floor(dice.roll() * value.length);
    return value.map((item, index) => (index === at ? mutated(item, dice) : item));
  }
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value).filter((key) => !['kind', 'origin', 'parentRefs'].includes(key) || 'port' in value);
  const at = pick(keys);
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, key === at ? mutated(member, dice) : member]),
  );
}

test('5,000 nonsensical routes neither throw nor touch a good one, and what compiles can be obeyed', () => {
  const cluster = new Cluster();
  const good = route({ name: 'good' });
  const expected = compiled([good], cluster);
  const dice = new SeededDice(7);
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    let bad = WHOLE as unknown;
    for (let times = Math.ceil(dice.roll() * 3); times > 0; times--) bad = mutated(bad, dice);
    const one = {
      ...(bad as RouteResource),
      kind: dice.roll() < 0.2 ? ('GRPCRoute' as const) : ('HTTPRoute' as const),
    };
    const routes = compiled([good, one], cluster, expected);
    const tables = routes.tables.get('shop/orders')!.get(80)!;
    if (one.namespace !== 'shop') assert.equal(tables.all, expected.tables.get('shop/orders')!.get(80)!.all);
    for (const table of Object.values(tables.consumers)) {
      for (const { match } of table.entries) {
        for (const { type, value } of [...match.fields, ...(match.path === undefined ? [] : [match.path])]) {
          if (type === 'regex') linearRegExp(value);
        }
      }
      for (const { targets } of table.rules) {
        for (const { request, response } of targets) {
          for (const edits of [request, response]) if (edits !== undefined) void new LineEdits(edits);
          for (const [name, value] of [...(request?.lines ?? []), ...(response?.lines ?? [])]) {
            assert.doesNotMatch(`${name}${value}`, /[^\t -~]/);
          }
        }
      }
    }
    for (const text of problemsOf(routes)) assert.match(text, /^(?:HTTP|GRPC)Route .*?: spec\./s);
    refused += Number(routes.statuses.some(({ parents }) => parents.some(({ conditions }) => !conditions[0]!.status)));
  }
  assert.ok(refused > 500, `${refused} of 5,000 were refused`);
});
