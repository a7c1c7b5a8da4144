import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import { Refusal } from './refusal.ts';
import type { JsonSchema } from './schema.ts';

/** A parameter of a query: `read` gives undefined where the text is not allowed. */
export interface Param<T> {
  readonly json: JsonSchema;
  read(text: string): T | undefined;
}

export type Params = Readonly<Record<string, Param<unknown>>>;
/** What was given. */
export type Values<P extends Params> = { readonly [K in keyof P]?: P[K] extends Param<infer T> ? T : never };

/** Its description is what a refusal names as expected. */
export function textParam(description: string, pattern: RegExp): Param<string> {
  return {
    json: { type: 'string', pattern: pattern.source, description },
    read: (text) => (pattern.test(text) ? text : undefined),
  };
}

/** `?verbose` and `?verbose=true` are the same. */
export function flagParam(description: string): Param<boolean> {
  return {
    json: { type: 'boolean', description },
    read: (text) => (text === '' || text === 'true' ? true : text === 'false' ? false : undefined),
  };
}

/** A share above 0 and up to 1. */
export function shareParam(description: string): Param<number> {
  return {
    json: { type: 'number', exclusiveMinimum: 0, maximum: 1, description },
    read: (text) => {
      const value = /^(?:0?\.\d{1,12}|[01](?:\.0*)?|0\.\d{1,12})$/.test(text) ? Number(text) : 0;
      return value > 0 && value <= 1 ? value : undefined;
    },
  };
}

/** Reads the query of a request target. Throws a Refusal for what is unknown, given twice or not allowed. */
export function readQuery<P extends Params>(target: string, params: P): Values<P> {
  const values: Record<string, unknown> = {};
  const start = target.indexOf('?');
  for (const [name, text] of new URLSearchParams(start < 0 ? '' : target.slice(start + 1))) {
    if (!Object.hasOwn(params, name)) throw unknown(name, Object.keys(params));
    if (Object.hasOwn(values, name)) throw new Refusal(400, `Expected ${name} once, got it twice`);
    const param: Param<unknown> = params[name]!;
    const value = param.read(text);
    if (value === undefined)
      throw new Refusal(400, `Expected ${name} to be: ${String(param.json['description'])}; got ${shown(text)}`);
    values[name] = value;
  }
  return values as Values<P>;
}

function unknown(name: string, known: readonly string[]): Refusal {
  if (known.length === 0) return new Refusal(400, `Expected no parameters, got ${shown(name)}`);
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; ${near} is the nearest`;
  return new Refusal(400, `Expected the parameters ${known.join(', ')}, got ${shown(name)}${hint}`, {
    members: { parameters: known, ...(near === undefined ? {} : { nearest: near }) },
  });
}
