import { shown } from '../../lib/shown.ts';

/**
 * Says what is wrong with a value, as `services[3].port: expected a number, got "x"`, or nothing. Small on purpose: a schema
 * library takes longer to load than the whole command runs.
 */
export interface Shape<T> {
  (value: unknown, path: string): string | undefined;
  /** Never there: it ties the shape to its type. */
  readonly type?: T;
}

/** Lets the compiler insist that a shape is that of a type, member for member. */
type Members<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

function of<T>(expected: string, is: (value: unknown) => boolean): Shape<T> {
  return (value, path) =>
    is(value) ? undefined : `${path === '' ? '' : `${path}: `}expected ${expected}, got ${shown(value)}`;
}

export const text: Shape<string> = of('text', (value) => typeof value === 'string');
/** JSON has no others than finite ones. */
export const number: Shape<number> = of('a number', Number.isFinite);
export const flag: Shape<boolean> = of('true or false', (value) => typeof value === 'boolean');

/** One of some words; a newer node may know more, so any text will do. */
export function word<T extends string>(): Shape<T> {
  return text as Shape<T>;
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, path) => (value === null ? undefined : shape(value, path));
}

export function list<T>(item: Shape<T>): Shape<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return of('a list', Array.isArray)(value, path);
    for (const [index, one] of value.entries()) {
      const fault = item(one, `${path}[${index}]`);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}

export function record<T>(member: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return (value, path) => {
    if (!isObject(value)) return of('an object', isObject)(value, path);
    for (const [name, one] of Object.entries(value)) {
      const fault = member(one, `${path}[${shown(name)}]`);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}

/** Members that are not named may be there: a newer node may tell more. */
export function object<T extends object>(members: Members<T>): Shape<T> {
  const entries = Object.entries<Shape<unknown>>(members as Record<string, Shape<unknown>>);
  return (value, path) => {
    if (!isObject(value)) return of('an object', isObject)(value, path);
    for (const [name, shape] of entries) {
      const fault = shape(value[name], path === '' ? name : `${path}.${name}`);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}

export function pair<A, B>(first: Shape<A>, second: Shape<B>): Shape<readonly [A, B]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length !== 2) return `${path}: expected a pair, got ${shown(value)}`;
    return first(value[0], `${path}[0]`) ?? second(value[1], `${path}[1]`);
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
