/**
 * JSON Schema 2020-12 of what the API answers, tied to the types of model/admin.ts: a schema with a field too many or too few,
 * or of another type, does not compile. Not by typebox, which would cost the main thread 150 ms and 5 MB at each start (ajv for
 * the dozen parameters 40 ms more). Each schema has a description: together they are the manual.
 */
export interface Schema<T> {
  readonly json: JsonSchema;
  /** Never there: makes the type count both ways. */
  readonly type?: (value: T) => T;
}

/** Plain JSON. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** @param facts further keywords of JSON Schema. */
export function text(description: string, facts: JsonSchema = {}): Schema<string> {
  return { json: { type: 'string', description, ...facts } };
}

export function integer(description: string, facts: JsonSchema = {}): Schema<number> {
  return { json: { type: 'integer', description, ...facts } };
}

export function number(description: string, facts: JsonSchema = {}): Schema<number> {
  return { json: { type: 'number', description, ...facts } };
}

export function boolean(description: string): Schema<boolean> {
  return { json: { type: 'boolean', description } };
}

export function choice<const T extends string>(description: string, values: readonly T[]): Schema<T> {
  return { json: { type: 'string', enum: values, description } };
}

export function orNull<T>({ json }: Schema<T>): Schema<T | null> {
  return { json: { ...json, type: [json['type'], 'null'] } };
}

export function list<T>(description: string, item: Schema<T>): Schema<readonly T[]> {
  return { json: { type: 'array', items: item.json, description } };
}

export function pair(
  description: string,
  first: Schema<string>,
  second: Schema<string>,
): Schema<readonly [string, string]> {
  return { json: { type: 'array', prefixItems: [first.json, second.json], minItems: 2, items: false, description } };
}

/** Numbers by name; only those that are not 0. */
export function counts<T extends Readonly<Partial<Record<string, number>>>>(description: string): Schema<T> {
  return { json: { type: 'object', additionalProperties: { type: 'number', description: 'Count' }, description } };
}

export function object<T extends object>(
  description: string,
  fields: { readonly [K in keyof T]-?: Schema<T[K]> },
): Schema<T> {
  const properties = Object.fromEntries(
    Object.entries(fields as Record<string, Schema<unknown>>).map(([name, { json }]) => [name, json]),
  );
  return {
    json: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false, description },
  };
}
