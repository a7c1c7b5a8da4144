import { linearRegExp } from '../../src/lib/linear-regexp.ts';
import type { Entry, Match } from '../../src/model/routing.ts';
import { feedHead, Head, startRequest } from '../../src/proxy/http.ts';
import { Matcher } from '../../src/proxy/route/matcher.ts';
import { table } from '../load/report.ts';
import { spread } from '../load/results.ts';
import { sample } from './sample.ts';

/**
 * Nanoseconds to find the rule of a request, in tables of ever more rules. All tables are measured once in a round, then comes
 * the next round, so that what else the machine does is shared by all. The goal is for the paths alone: 1,000 rules cost at most
 * 1.1 times one.
 */
const ROUNDS = 15;
const SAMPLE_MS = 40;
/** Requests that differ, so that the processor cannot learn one by heart. */
const REQUESTS = 256;
const SIZES = [1, 10, 100, 1000, 10_000];
const LIMITS = { head: 65_536, headers: 100, url: 32_768 };

interface Case {
  readonly name: string;
  readonly find: () => void;
  readonly samples: number[];
}

function main(): void {
  const groups: Readonly<Record<string, readonly Case[]>> = {
    'exact and prefix paths, half each': SIZES.map((rules) => pathCase(rules)),
    'one path, as many values of a header': [1, 10, 100, 1000].map((rules) => headerCase(rules)),
    'regular expressions on the path': [1, 10, 100, 256].map((rules) => regexCase(rules)),
    'what else a match may ask for': otherCases(),
  };
  const cases = Object.values(groups).flat();
  for (const { find } of cases) sample(find, SAMPLE_MS, 1);
  for (let round = 0; round < ROUNDS; round++)
    for (const { find, samples } of cases) samples.push(sample(find, SAMPLE_MS, 1) / REQUESTS);
  const rows = [['rules', 'ns', '(min..max)', 'to the first of its kind']];
  for (const [group, members] of Object.entries(groups)) {
    rows.push([group, '', '', '']);
    for (const { name, samples } of members) {
      const { median, min, max } = spread(samples);
      const ratio = spread(samples.map((ns, round) => ns / members[0]!.samples[round]!)).median;
      rows.push([`  ${name}`, median.toFixed(0), `${min.toFixed(0)}..${max.toFixed(0)}`, ratio.toFixed(2)]);
    }
  }
  process.stdout.write(`${table(rows)}\n\n${table(regexRows())}\n`);
}

/** Each request fits one of them; all are as long. */
function pathCase(rules: number): Case {
  const entries = Array.from({ length: rules }, (_, index) =>
    entry({ path: { type: index % 2 === 0 ? 'exact' : 'prefix', value: articlePath(index) } }),
  );
  return caseOf(String(rules), entries, (number) => {
    const rule = Math.floor((number * rules) / REQUESTS);
    return headOf(articlePath(rule));
  });
}

function articlePath(index: number): string {
  return `/shop/articles-${String(index).padStart(5, '0')}`;
}

function headerCase(rules: number): Case {
  const entries = Array.from({ length: rules }, (_, index) =>
    entry({
      path: { type: 'prefix', value: '/shop' },
      fields: [{ of: 'header', name: 'x-tenant', type: 'exact', value: `tenant-${index}` }],
    }),
  );
  return caseOf(String(rules), entries, (number) =>
    headOf('/shop/articles-00001', `x-tenant: tenant-${Math.floor((number * rules) / REQUESTS)}`),
  );
}

function regexCase(rules: number): Case {
  const entries = Array.from({ length: rules }, (_, index) =>
    entry({ path: { type: 'regex', value: `^(?:/shop/[a-z]+-${index}/[0-9]+)$` } }),
  );
  return caseOf(String(rules), entries, (number) =>
    headOf(`/shop/articles-${Math.floor((number * rules) / REQUESTS)}/12`),
  );
}

function otherCases(): Case[] {
  return [
    matchCase('nothing', {}),
    matchCase('a method', { methods: ['POST', 'GET'] }),
    matchCase('a header', { fields: [{ of: 'header', name: 'x-request-class', type: 'exact', value: 'batch' }] }),
    matchCase('a parameter', { fields: [{ of: 'query', name: 'sort', type: 'exact', value: 'price' }] }),
    matchCase('a cookie', { fields: [{ of: 'cookie', name: 'tenant', type: 'exact', value: 'shop' }] }),
    matchCase('a header by a regular expression', {
      fields: [{ of: 'header', name: 'x-request-class', type: 'regex', value: '^(?:batch|bulk)$' }],
    }),
  ];
}

function matchCase(name: string, match: Partial<Match>): Case {
  return caseOf(name, [entry(match)], () =>
    headOf('/shop/articles?page=2&sort=price', 'cookie: session=1; tenant=shop'),
  );
}

/** What an expression may cost at worst, of those that are taken. */
function regexRows(): string[][] {
  const text = 'a'.repeat(16_384);
  const rows = [['expression, on 16 KiB', 'ms']];
  for (const source of [
    '^(a+)+$',
    '^(?:/users/[0-9]+/items/[^/]+)$',
    `^(?:${'.*'.repeat(62)}x)$`,
    `^(?:${'a*'.repeat(3)}){15}$`,
  ]) {
    const expression = linearRegExp(source);
    const times = Array.from({ length: 5 }, () => {
      const begin = performance.now();
      expression.test(`${text}!`);
      return performance.now() - begin;
    });
    rows.push([source.length > 40 ? `${source.slice(0, 40)}…` : source, spread(times).median.toFixed(2)]);
  }
  return rows;
}

function entry(match: Partial<Match>): Entry {
  return { match: { path: undefined, methods: [], fields: [], ...match }, rule: 0, field: '' };
}

/** Every request is looked up once before, and has to fit. */
function caseOf(name: string, entries: readonly Entry[], request: (number: number) => Head): Case {
  const matcher = new Matcher(entries);
  const requests = Array.from({ length: REQUESTS }, (_, number) => request(number));
  if (requests.some((head) => matcher.find(head, head.pathStart) < 0))
    throw new Error(`Expected that all fit: ${name}`);
  // In no order that follows the table's.
  const order = Uint16Array.from({ length: REQUESTS }, (_, index) => (index * 97) % REQUESTS);
  const find = (): void => {
    for (const number of order) {
      const head = requests[number]!;
      matcher.find(head, head.pathStart);
    }
  };
  return { name, find, samples: [] };
}

function headOf(target: string, ...more: string[]): Head {
  const head = new Head(LIMITS.headers, 2048);
  const fields = [
    'Host: orders.shop:8080',
    'Content-Type: application/json',
    'Content-Length: 412',
    'Accept: application/json',
    'Accept-Encoding: gzip, deflate',
    'User-Agent: orders-client/2.14.0',
    'Connection: keep-alive',
    'x-request-class: batch',
    'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ...more,
  ];
  const text = Buffer.from(`GET ${target} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`, 'latin1');
  startRequest(head);
  if (feedHead(head, text, 0, text.length, LIMITS) !== text.length)
    throw new Error(`Expected a head, got ${head.detail}`);
  head.keep();
  return head;
}

main();
