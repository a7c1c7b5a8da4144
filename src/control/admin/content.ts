import { Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import { Slices } from '../../lib/slices.ts';

const CHUNK_CHARS = 32 * 1024;

/**
 * The bytes of an answer. Never one large string: with Node 26.10 its length as UTF-8, which node:http asks for, has ended the
 * process ("Lazy deopt after a fast API call"); and encoding it would take one long turn.
 */
export class Content {
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  #gzipped: Promise<Content> | undefined = undefined;

  constructor(chunks: readonly Uint8Array[]) {
    this.chunks = chunks;
    this.bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  }

  static of(text: string): Content {
    return new Content([new TextEncoder().encode(text)]);
  }

  /** For one reader. */
  stream(): Readable {
    return Readable.from(this.chunks, { objectMode: false });
  }

  /** Made once, by the thread pool. */
  gzipped(): Promise<Content> {
    this.#gzipped ??= gzip(this);
    return this.#gzipped;
  }
}

async function gzip(content: Content): Promise<Content> {
  const zipped: Uint8Array[] = [];
  const stream = content.stream().pipe(createGzip({ level: constants.Z_BEST_SPEED }));
  for await (const chunk of stream) zipped.push(chunk as Uint8Array);
  return new Content(zipped);
}

/** Collects text as bytes, piece by piece. */
export class ContentWriter {
  readonly #encoder = new TextEncoder();
  readonly #chunks: Uint8Array[] = [];
  #text = '';

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= CHUNK_CHARS) this.#encode();
  }

  finish(): Content {
    this.#encode();
    return new Content(this.#chunks);
  }

  #encode(): void {
    if (this.#text !== '') this.#chunks.push(this.#encoder.encode(this.#text));
    this.#text = '';
  }
}

/** An answer whose lists are made while they are written. */
export type Lazily<T> = { readonly [K in keyof T]: T[K] extends readonly (infer I)[] ? Iterable<I> : T[K] };

/** Its JSON, made in slices. */
export async function jsonContent<T extends object>(answer: Lazily<T>): Promise<Content> {
  const slices = new Slices();
  const writer = new ContentWriter();
  let before = '{';
  for (const [key, value] of Object.entries<unknown>(answer)) {
    writer.add(`${before}${JSON.stringify(key)}:`);
    before = ',';
    if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
      writer.add(JSON.stringify(value));
      continue;
    }
    let open = '[';
    for (const item of value as Iterable<unknown>) {
      writer.add(open + JSON.stringify(item));
      open = ',';
      if (slices.over) await slices.next();
    }
    writer.add(open === '[' ? '[]' : ']');
  }
  writer.add('}\n');
  return writer.finish();
}
