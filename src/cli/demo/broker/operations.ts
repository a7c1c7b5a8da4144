import type { Message } from './router.ts';

/** What a client asks for (the client protocol of NATS). */
export type Operation =
  | { readonly name: 'connect'; readonly options: Readonly<Record<string, unknown>> }
  | { readonly name: 'ping' }
  | { readonly name: 'pong' }
  | { readonly name: 'publish'; readonly message: Message }
  /** `queue` is empty where there is none. */
  | { readonly name: 'subscribe'; readonly id: string; readonly pattern: string; readonly queue: string }
  /** After so many messages; 0: now. */
  | { readonly name: 'unsubscribe'; readonly id: string; readonly max: number };

const LINE_MAX = 4096;
const CR = 13;
const LF = 10;
const COUNT = /^\d{1,9}$/;
const PARSER_ERROR = 'Unknown Protocol Operation';
const WILD = /(^|\.)[*>](\.|$)/;
/** Tokens without control characters; a `>` only at the end. */
const SUBJECT = /^[^.\s\0]+(\.[^.\s\0]+)*$/;
const EARLY_REST = /(^|\.)>\./;

/** What the line of a message says of the bytes that follow it. */
interface Announced {
  readonly subject: string;
  readonly reply: string;
  /** Undefined: without headers. */
  readonly headerBytes: number | undefined;
  readonly bytes: number;
}

/** Reads the operations of one client out of the bytes that come. */
export class OperationReader {
  readonly #payloadMax: number;
  #bytes: Buffer = Buffer.alloc(0);
  #announced: Announced | undefined = undefined;

  constructor(payloadMax: number) {
    this.#payloadMax = payloadMax;
  }

  /** @returns what is wrong, in the words of NATS: nothing more can be read. */
  feed(bytes: Buffer, obey: (operation: Operation) => void): string | undefined {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const read = this.#announced === undefined ? this.#readLine() : this.#readPayload(this.#announced);
      if (read === undefined) return undefined;
      if (typeof read === 'string') return read;
      if (read !== ANNOUNCED) obey(read);
    }
  }

  /** Undefined: more has to come. */
  #readLine(): Operation | typeof ANNOUNCED | string | undefined {
    const end = this.#bytes.indexOf(LF);
    if (end < 0) return this.#bytes.length > LINE_MAX ? 'Maximum Control Line Exceeded' : undefined;
    const line = this.#bytes.toString('latin1', 0, this.#bytes[end - 1] === CR ? end - 1 : end);
    this.#bytes = this.#bytes.subarray(end + 1);
    return line.length > LINE_MAX ? 'Maximum Control Line Exceeded' : this.#operation(line);
  }

  #operation(line: string): Operation | typeof ANNOUNCED | string {
    const [word = '', ...rest] = line.trim().split(/[ \t]+/);
    switch (word.toUpperCase()) {
      case 'PING':
        return { name: 'ping' };
      case 'PONG':
        return { name: 'pong' };
      case 'CONNECT':
        return connect(line.trim().slice(word.length));
      case 'PUB':
        return this.#announce(rest, false);
      case 'HPUB':
        return this.#announce(rest, true);
      case 'SUB':
        return subscribe(rest);
      case 'UNSUB':
        return unsubscribe(rest);
      default:
        return PARSER_ERROR;
    }
  }

  /** `PUB subject [reply] bytes`, `HPUB subject [reply] header-bytes bytes` */
  #announce(words: readonly string[], withHeaders: boolean): typeof ANNOUNCED | string {
    const counts = withHeaders ? 2 : 1;
    const names = words.slice(0, -counts);
    const [subject = '', reply = ''] = names;
    const numbers = words.slice(-counts);
    if (names.length < 1 || names.length > 2 || !numbers.every((text) => COUNT.test(text))) return PARSER_ERROR;
    if (!isLiteral(subject) || (reply !== '' && !isLiteral(reply))) return 'Invalid Publish Subject';
    const bytes = Number(numbers.at(-1));
    const headerBytes = withHeaders ? Number(numbers[0]) : undefined;
    if (bytes > this.#payloadMax) return 'Maximum Payload Violation';
    if (headerBytes !== undefined && headerBytes > bytes) return PARSER_ERROR;
    this.#announced = { subject, reply, headerBytes, bytes };
    return ANNOUNCED;
  }

  #readPayload({ subject, reply, headerBytes, bytes }: Announced): Operation | string | undefined {
    const all = this.#bytes;
    if (all.length < bytes + 2) return undefined;
    if (all[bytes] !== CR || all[bytes + 1] !== LF) return PARSER_ERROR;
    this.#announced = undefined;
    this.#bytes = all.subarray(bytes + 2);
    const headers = headerBytes === undefined ? undefined : all.subarray(0, headerBytes);
    return { name: 'publish', message: { subject, reply, headers, body: all.subarray(headerBytes ?? 0, bytes) } };
  }
}

/** A line that says which bytes follow. */
const ANNOUNCED = Symbol('announced');

function connect(json: string): Operation | string {
  try {
    const options: unknown = JSON.parse(json);
    if (typeof options === 'object' && options !== null)
      return { name: 'connect', options: options as Record<string, unknown> };
  } catch {
    // Told below.
  }
  return PARSER_ERROR;
}

/** `SUB pattern [queue] id` */
function subscribe(words: readonly string[]): Operation | string {
  if (words.length < 2 || words.length > 3) return PARSER_ERROR;
  const pattern = words[0]!;
  if (!SUBJECT.test(pattern) || EARLY_REST.test(pattern)) return 'Invalid Subject';
  return { name: 'subscribe', id: words.at(-1)!, pattern, queue: words.length === 3 ? words[1]! : '' };
}

/** `UNSUB id [max]` */
function unsubscribe([id, max = '0', ...rest]: readonly string[]): Operation | string {
  if (id === undefined || rest.length > 0 || !COUNT.test(max)) return PARSER_ERROR;
  return { name: 'unsubscribe', id, max: Number(max) };
}

function isLiteral(subject: string): boolean {
  return SUBJECT.test(subject) && !WILD.test(subject);
}
