import type { ClusterApi } from '../../../control/discovery.ts';
import { shown } from '../../../lib/shown.ts';
import type { Verdict } from '../../mark.ts';

/** One thing that was looked at, before it has a section. */
export interface Looked {
  readonly verdict: Verdict;
  readonly text: string;
  readonly advice?: string;
}

/** What a user may be allowed to do. */
export interface Right {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  /** Absent: in all namespaces, or of the whole cluster. */
  readonly namespace?: string;
}

/** Something that the API server did not tell. */
export class Unread extends Error {
  override readonly name: string = 'Unread';
  readonly looked: Looked;

  constructor(looked: Looked) {
    super(looked.text);
    this.looked = looked;
  }
}

const REQUEST_MS_MAX = 5_000;
const OBJECTS_MAX = 200_000;

/** Reads a cluster, and changes nothing in it. What it gives are foreign values of any shape. */
export class ClusterReading {
  readonly #api: ClusterApi;
  /** Ends all of it. */
  readonly #signal: AbortSignal;

  constructor(api: ClusterApi, signal: AbortSignal) {
    this.#api = api;
    this.#signal = signal;
  }

  /** Undefined where there is no such thing. Throws Unread. */
  async get(path: string): Promise<unknown> {
    const { status, body } = await this.#request(path, {});
    if (status === 404) return undefined;
    if (status === 200) return body;
    throw refused(status, path, body);
  }

  /** All objects of a kind, page by page. Throws Unread. */
  async *objects(path: string, { pageSize, query = '' }: { pageSize: number; query?: string }): AsyncGenerator {
    let token = '';
    for (let read = 0; read < OBJECTS_MAX; read += pageSize) {
      const page = await this.get(`${path}?limit=${pageSize}${query}${token}`);
      yield* listAt(page, 'items');
      const next = textAt(page, 'metadata', 'continue');
      if (next === '') return;
      token = `&continue=${encodeURIComponent(next)}`;
    }
    const advice = 'What comes after them was not looked at';
    throw new Unread({ verdict: 'warning', text: `${path} has over ${OBJECTS_MAX} objects`, advice });
  }

  /** Asks for the user's own right: a review is answered and not stored. Throws Unread. */
  async may(right: Right): Promise<boolean> {
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: right },
    };
    const { status, body } = await this.#request(path, { method: 'POST', body: review });
    if (status !== 200 && status !== 201) throw refused(status, path, body);
    return at(body, 'status', 'allowed') === true;
  }

  async #request(
    path: string,
    options: { readonly method?: string; readonly body?: unknown },
  ): Promise<{ readonly status: number; readonly body: unknown }> {
    try {
      return await this.#api.request(path, { ...options, signal: this.#signal, timeoutMs: REQUEST_MS_MAX });
    } catch (error) {
      const text = `${withoutQuery(path)} was not answered: ${(error as Error).message}`;
      throw new Unread({
        verdict: 'wrong',
        text,
        advice: `The API server is ${this.#api.server}: is it well, and near?`,
      });
    }
  }
}

function refused(status: number, path: string, body: unknown): Unread {
  const said = textAt(body, 'message');
  const why = said === '' ? '' : `: ${shown(said)}`;
  if (status === 403) {
    const advice = 'So this was not looked at: ask somebody who may, to run this check';
    return new Unread({ verdict: 'warning', text: `you may not read ${withoutQuery(path)}${why}`, advice });
  }
  const advice =
    status === 401
      ? 'The credentials of the kubeconfig are wrong or too old: does kubectl get them to work?'
      : 'This is the answer of the API server itself, or of what stands before it: see its log';
  return new Unread({
    verdict: 'wrong',
    text: `${withoutQuery(path)} was answered with status ${status}${why}`,
    advice,
  });
}

function withoutQuery(path: string): string {
  return path.split('?', 1)[0]!;
}

/** What stands at a path of fields; undefined where there is none. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const field of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, field)) return undefined;
    found = (found as Record<string, unknown>)[field];
  }
  return found;
}

/** Empty where there is no text. */
export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : '';
}

/** Empty where there is no list. */
export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The keys of an object's annotations. */
export function annotationsOf(object: unknown): readonly string[] {
  const annotations = at(object, 'metadata', 'annotations');
  return typeof annotations === 'object' && annotations !== null ? Object.keys(annotations) : [];
}

/** `1 node`, `3 nodes`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
