import type { Link } from '../link.ts';
import type { Call } from './call.ts';

/** What the handlers of a worker share. */
export interface ApiParts {
  readonly link: Link;
  /** What stands in the key file for acknowledgements; undefined: there is none. */
  readonly tokenKey: string | undefined;
}

/**
 * JSON Schema 2020-12, of which parameters use the few keywords that `parameters.ts` checks. Not by typebox, which costs each
 * worker that loads it 14 MB.
 */
export interface Schema {
  readonly [keyword: string]: unknown;
}

/** What the value of a parameter with this schema is. */
type ValueOf<S> = S extends { readonly enum: readonly (infer E)[] }
  ? E
  : S extends { readonly type: 'integer' | 'number' }
    ? number
    : S extends { readonly type: 'boolean' }
      ? boolean
      : S extends { readonly type: 'array' }
        ? readonly string[]
        : string;

/** The query that parameters `as const satisfies Record<string, Schema>` describe. */
export type QueryOf<Q> = { readonly [Name in keyof Q]?: ValueOf<Q[Name]> };

/** One route of the API: what it takes, what it answers, who answers. `/v1/openapi.json` is made of these. */
export interface Route {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** `/v1/publish/{subject}`: each name one segment of the path. */
  readonly path: string;
  /** `publish`: metrics name it, and so does OpenAPI. */
  readonly operation: string;
  readonly summary: string;
  /** By name; values are strings in the path, and what the schema says in the query. */
  readonly parameters: {
    readonly path: Readonly<Record<string, Schema>>;
    readonly query: Readonly<Record<string, Schema>>;
  };
  /** Request headers that mean something here, with a description. */
  readonly headers: Readonly<Record<string, string>>;
  /** Media types of the request body; empty: it takes none. */
  readonly takes: readonly string[];
  /** Status, what it means and its media type. Problems are added. */
  readonly answers: readonly {
    readonly status: number;
    readonly description: string;
    readonly type?: string;
    readonly schema?: Schema;
  }[];
  /** Called once the head is here, with the link up. */
  handle(call: Call, parts: ApiParts): void;
}
