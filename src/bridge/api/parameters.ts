import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import { MessageProblem } from '../problem.ts';
import type { Schema } from './route.ts';

/** Of one query. */
const PARAMETERS_MAX = 256;
const INTEGER = /^-?\d{1,15}$/;
const NUMBER = /^-?\d{1,15}(?:\.\d{1,15})?$/;

/**
 * Percent-decodes once: what is still encoded then is meant so, and what decodes to something that is not allowed is told by the
 * one who knows. Undefined: malformed. A `+` is itself, as RFC 3986 has it, or no time with a zone could be written plainly.
 */
export function decoded(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Reads a query by its schemas. */
export function readQuery(
  text: string,
  schemas: Readonly<Record<string, Schema>>,
): Readonly<Record<string, unknown>> | MessageProblem {
  const values: Record<string, unknown> = {};
  if (text === '') return values;
  const pairs = text.split('&');
  if (pairs.length > PARAMETERS_MAX)
    return new MessageProblem(
      'invalid-parameter',
      `Expected at most ${PARAMETERS_MAX} parameters, got ${pairs.length}`,
    );
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const value = decoded(equals < 0 ? '' : pair.slice(equals + 1));
    if (name === undefined || value === undefined)
      return new MessageProblem('invalid-parameter', `Expected percent-encoded UTF-8, got ${shown(pair)}`);
    const problem = take(values, name, value, schemas);
    if (problem !== undefined) return problem;
  }
  return values;
}

function take(
  values: Record<string, unknown>,
  name: string,
  text: string,
  schemas: Readonly<Record<string, Schema>>,
): MessageProblem | undefined {
  if (!Object.hasOwn(schemas, name)) return unknown(name, Object.keys(schemas));
  const schema = schemas[name]!;
  const repeats = schema['type'] === 'array';
  const value = valueOf(text, repeats ? (schema['items'] as Schema) : schema);
  if (value === undefined) return refusal(name, text, schema);
  if (!repeats) {
    if (Object.hasOwn(values, name))
      return new MessageProblem('invalid-parameter', `Expected ${name} once, got it twice`);
    values[name] = value;
    return undefined;
  }
  const list = (values[name] ??= []) as unknown[];
  if (list.length === schema['maxItems'])
    return new MessageProblem('invalid-parameter', `Expected ${name} at most ${list.length} times, got more`);
  list.push(value);
  return undefined;
}

/** Undefined: the schema does not allow it. */
function valueOf(text: string, schema: Schema): unknown {
  switch (schema['type']) {
    case 'boolean':
      return text === '' || text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
    case 'number': {
      const pattern = schema['type'] === 'integer' ? INTEGER : NUMBER;
      const value = pattern.test(text) ? Number(text) : Number.NaN;
      const { minimum = -Infinity, maximum = Infinity } = schema as {
        readonly minimum?: number;
        readonly maximum?: number;
      };
      return value >= minimum && value <= maximum ? value : undefined;
    }
    default:
      return isAllowedText(text, schema) ? text : undefined;
  }
}

function isAllowedText(text: string, schema: Schema): boolean {
  const { minLength = 0, maxLength = Infinity } = schema as {
    readonly minLength?: number;
    readonly maxLength?: number;
  };
  if (text.length < minLength || text.length > maxLength) return false;
  const { pattern } = schema as { readonly pattern?: string };
  if (pattern !== undefined && !compiled(pattern).test(text)) return false;
  const choices = schema['enum'] as readonly string[] | undefined;
  return choices === undefined || choices.includes(text);
}

const patterns = new Map<string, RegExp>();

/** There are as many as the table of routes has. */
function compiled(pattern: string): RegExp {
  let expression = patterns.get(pattern);
  if (expression === undefined) patterns.set(pattern, (expression = new RegExp(pattern, 'u')));
  return expression;
}

function refusal(name: string, text: string, schema: Schema): MessageProblem {
  const choices = ((schema['items'] as Schema | undefined) ?? schema)['enum'] as readonly string[] | undefined;
  const { minimum, maximum } = schema as { readonly minimum?: number; readonly maximum?: number };
  const expected =
    choices?.join(', ') ?? (maximum === undefined ? String(schema['description']) : `${minimum ?? 0} to ${maximum}`);
  return new MessageProblem('invalid-parameter', `Expected ${name} to be: ${expected}; got ${shown(text)}`, {
    parameter: name,
  });
}

function unknown(name: string, known: readonly string[]): MessageProblem {
  if (known.length === 0) return new MessageProblem('invalid-parameter', `Expected no parameters, got ${shown(name)}`);
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; ${near} is the nearest`;
  return new MessageProblem(
    'invalid-parameter',
    `Expected the parameters ${known.join(', ')}, got ${shown(name)}${hint}`,
    { nearest: near },
  );
}
