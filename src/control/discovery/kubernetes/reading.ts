import { Slices } from '../../../lib/slices.ts';
import { bytesOf, type ClusterApi, meaningOf, Refusal } from './api.ts';
import { JsonCutter, MalformedJson } from './json-cutter.ts';
import type { ApiObject } from './store.ts';

/** One line of a watch. */
export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: ApiObject }
  | { readonly type: 'ERROR'; readonly object?: { readonly code?: number; readonly message?: string } };

const PAGE = 500;
/** Servers may send events of other types one day. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']);

/** What a list says besides its items. */
export interface Envelope {
  readonly version: string;
  /** Where the next page begins; empty after the last one. */
  readonly next: string;
}

/** Called with every sign of life, more often than there are objects. */
export type Heard = () => void;

export interface ReadOptions {
  readonly signal: AbortSignal;
  readonly heard: Heard;
}

/**
 * The events of a watch, as long as it goes well. Throws a Refusal for an answer that is no watch and for an ERROR within the
 * stream, MalformedJson for what is neither, and what the connection throws.
 * @param onOpen is called when the server has agreed to the watch.
 */
export async function* readWatch(
  api: ClusterApi,
  path: string,
  { signal, heard, onOpen }: ReadOptions & { readonly onOpen: () => void },
): AsyncGenerator<Exclude<WatchEvent, { type: 'ERROR' }>> {
  const cutter = new JsonCutter('stream');
  const chunks = await open(api, path, signal);
  onOpen();
  for await (const bytes of cutPaced(chunks, cutter, heard)) {
    const event = parse(bytes) as WatchEvent;
    if (event.type === 'ERROR') throw new Refusal({ status: event.object?.code ?? 500, body: event.object });
    if (!KNOWN_TYPES.has(event.type)) continue;
    checkIdentity(event.object, event.type === 'BOOKMARK');
    yield event;
  }
  cutter.end();
}

/** The items of one answer to a list; returns what stood around them. Throws as readWatch does. */
export async function* readList(
  api: ClusterApi,
  path: string,
  { signal, heard }: ReadOptions,
): AsyncGenerator<ApiObject, Envelope> {
  const cutter = new JsonCutter('list');
  for await (const bytes of cutPaced(await open(api, path, signal), cutter, heard)) {
    const object = parse(bytes) as ApiObject;
    checkIdentity(object, false);
    yield object;
  }
  const { metadata } = parse(cutter.end()) as { metadata?: { resourceVersion?: unknown; continue?: unknown } | null };
  const { resourceVersion, continue: next } = metadata ?? {};
  if (typeof resourceVersion !== 'string') throw new MalformedJson('Expected a list with a version, got one without');
  return { version: resourceVersion, next: typeof next === 'string' ? next : '' };
}

/** Reads the page that the query says; resolves with what stood around its items. */
export type ReadPage = (query: Readonly<Record<string, string>>) => Promise<Envelope>;

/**
 * A whole collection, page by page. Resolves with its version.
 * @param restart is called when it begins anew: what was read is of a version that is gone.
 */
export async function readPages(readPage: ReadPage, restart: () => void): Promise<string> {
  let next = '';
  let paged = true;
  for (;;) {
    const query = { ...(paged && { limit: String(PAGE) }), ...(next !== '' && { continue: next }) };
    try {
      const envelope = await readPage(query);
      if (envelope.next !== '' && envelope.next === next)
        throw new MalformedJson('Expected where the next page begins, got the begin of this one');
      next = envelope.next;
      if (next === '') return envelope.version;
    } catch (error) {
      // The version of the first page is gone: all of it at once, for which it cannot be too old.
      if (next === '' || !(error instanceof Refusal) || error.status !== 410) throw error;
      restart();
      next = '';
      paged = false;
    }
  }
}

async function open(api: ClusterApi, path: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
  const { status, retryAfterMs, chunks } = await api.stream(path, { signal });
  if (status === 200) return chunks;
  throw new Refusal({ status, retryAfterMs, body: meaningOf(await bytesOf(chunks)) });
}

async function* cutPaced(chunks: AsyncIterable<Buffer>, cutter: JsonCutter, heard: Heard): AsyncGenerator<Buffer> {
  const slices = new Slices();
  for await (const chunk of chunks) {
    heard();
    for (const bytes of cutter.cut(chunk)) {
      yield bytes;
      if (slices.over) await slices.next();
    }
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    // The message of V8 quotes what is there, which need not be for everybody.
    throw new MalformedJson('Expected JSON, got something else');
  }
}

/** Nothing can be said of an object without an identity. */
function checkIdentity(object: ApiObject | undefined, isBookmark: boolean): void {
  const { name, resourceVersion } = object?.metadata ?? {};
  if (typeof resourceVersion === 'string' && (isBookmark || typeof name === 'string')) return;
  throw new MalformedJson('Expected an object with a name and a version, got one without');
}
