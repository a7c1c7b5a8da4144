import { shown } from '../../lib/shown.ts';
import { parseIp } from '../../lib/ip.ts';
import type { ExplainAnswer } from '../../model/admin.ts';
import {
  concerning,
  EXPLAIN_LIMITS,
  EXPLAIN_SETTINGS,
  type ExplainQuestion,
  type Explanation,
} from '../../model/explanation.ts';
import { problemView } from '../../model/problem.ts';
import { statusViews } from '../../model/route-status.ts';
import { type Params, textParam, type Values } from './query.ts';
import { Refusal } from './refusal.ts';
import { list, number, object, orNull, pair, type Schema, text } from './schema.ts';
import type { AdminSource } from './source.ts';
import { loadView } from './standing.ts';
import { endpointsOf } from './backend-views.ts';

// The question comes from outside; a worker's parser judges the request itself.

const AS = /^[a-z0-9.-]{1,253}\/[a-z0-9.-]{1,253}$/;

export const EXPLAIN_PARAMS = {
  url: textParam('The URL, such as http://orders.shop/cart', /^.{1,65536}$/s),
  method: textParam('The method; without it GET', /^.{1,1000}$/s),
  headers: textParam('Header lines, "name: value", with line feeds between them', /^.{0,65536}$/s),
  as: textParam('Who sends it, as namespace/serviceaccount or an IP address', /^.{1,512}$/s),
  roll: textParam('What the dice say, from 0 to below 1', /^0?\.\d{1,12}$|^0$/),
  seed: textParam('Seed of the dice: a whole number', /^\d{1,10}$/),
} satisfies Params;

/** All but the URL may be absent. */
export const explainBody: Schema<ExplainQuestion> = object('A request; all but "url" may be absent', {
  url: text('The URL, such as http://orders.shop/cart'),
  method: text('The method; without it GET'),
  headers: list('Header lines', pair('A header line', text('Name'), text('Value'))),
  as: text('Who sends it, as namespace/serviceaccount or an IP address; empty: somebody unknown'),
  roll: orNull(number('What the dice say, from 0 to below 1')),
  seed: orNull(number('Seed of the dice: a whole number')),
});

export function questionOfQuery(values: Values<Params>): ExplainQuestion {
  const { url, method, headers = '', as, roll, seed } = values as Values<typeof EXPLAIN_PARAMS>;
  const lines = headers.split('\n').filter((line) => line !== '');
  return checked({
    url,
    method,
    headers: lines.map((line) => {
      const colon = line.indexOf(':');
      if (colon < 0) throw new Refusal(400, `Expected headers as lines "name: value", got ${shown(line)}`);
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
    as,
    roll: roll === undefined ? undefined : Number(roll),
    seed: seed === undefined ? undefined : Number(seed),
  });
}

export function questionOfBody(body: unknown): ExplainQuestion {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refusal(400, `Expected {"url": …}, got ${shown(body)}`);
  const known = Object.keys(explainBody.json['properties'] ?? {});
  const unknown = Object.keys(body).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Refusal(400, `Expected the members ${known.join(', ')}, got ${shown(unknown)}`);
  return checked(body);
}

type Given = { readonly [K in keyof ExplainQuestion]?: unknown };

function checked({ url, method, headers, as, roll, seed }: Given): ExplainQuestion {
  const question: ExplainQuestion = {
    url: textOf('url', url, undefined),
    method: textOf('method', method, 'GET'),
    headers: headersOf(headers ?? []),
    as: asOf(textOf('as', as, '')),
    roll: numberOf('roll', roll ?? null, (value) => value >= 0 && value < 1, 'a number from 0 to below 1'),
    seed: numberOf('seed', seed ?? null, isSeed, `a whole number from 0 to ${EXPLAIN_LIMITS.seed}`),
  };
  const lengths = [question.url, question.method, ...question.headers.flat()].map(({ length }) => length);
  const chars = lengths.reduce((sum, length) => sum + length, 0);
  if (chars > EXPLAIN_LIMITS.chars)
    throw new Refusal(400, `Expected a request of at most ${EXPLAIN_LIMITS.chars} characters, got ${chars}`);
  return question;
}

function textOf(name: string, value: unknown, absent: string | undefined): string {
  if (typeof value === 'string' && (value !== '' || absent === '')) return value;
  if (value === undefined && absent !== undefined) return absent;
  throw new Refusal(400, `Expected ${name} to be a text, got ${shown(value)}`);
}

function headersOf(value: unknown): ExplainQuestion['headers'] {
  const expected = `Expected headers to be a list of at most ${EXPLAIN_LIMITS.headers} pairs of a name and a value`;
  if (!Array.isArray(value)) throw new Refusal(400, `${expected}, got ${shown(value)}`);
  if (value.length > EXPLAIN_LIMITS.headers) throw new Refusal(400, `${expected}, got ${value.length}`);
  for (const line of value as readonly unknown[])
    if (!Array.isArray(line) || line.length !== 2 || line.some((part) => typeof part !== 'string'))
      throw new Refusal(400, `${expected}, got ${shown(line)} in it`);
  return value as ExplainQuestion['headers'];
}

function asOf(as: string): string {
  if (as === '' || AS.test(as) || parseIp(as) !== undefined) return as;
  throw new Refusal(400, `Expected as to be namespace/serviceaccount or an IP address, got ${shown(as)}`);
}

function isSeed(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= EXPLAIN_LIMITS.seed;
}

function numberOf(name: string, value: unknown, isRight: (value: number) => boolean, expected: string): number | null {
  if (value === null || (typeof value === 'number' && isRight(value))) return value;
  throw new Refusal(400, `Expected ${name} to be ${expected}, got ${shown(value)}`);
}

/** What a worker says, and what is known beside. Throws a Refusal where none answers. */
export async function explainView(source: AdminSource, question: ExplainQuestion): Promise<ExplainAnswer> {
  const explanation = await asked(source, question);
  const id = explanation.backend?.id;
  const backend = source.snapshot?.backends.find((one) => one.id === id);
  const endpoints = backend === undefined ? [] : [...endpointsOf(source, backend)];
  const load = backend && loadView(source, backend, performance.now());
  const problems = concerning(explanation, source.problems, ({ object: name, expected, got }) => [name, expected, got]);
  const statuses = concerning(explanation, statusViews(source.statuses), ({ object: name, parent }) => [name, parent]);
  return {
    explanation,
    endpoints: endpoints.slice(0, EXPLAIN_LIMITS.endpoints),
    endpointsLeft: Math.max(0, endpoints.length - EXPLAIN_LIMITS.endpoints),
    load: load ?? null,
    problems: problems.map(problemView),
    statuses,
    settings: source.settings.filter(({ name }) => EXPLAIN_SETTINGS.has(name)),
  };
}

async function asked(source: AdminSource, question: ExplainQuestion): Promise<Explanation> {
  try {
    return await source.explain(question);
  } catch (error) {
    throw new Refusal(503, error instanceof Error ? error.message : String(error));
  }
}
