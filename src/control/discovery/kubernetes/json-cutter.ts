/** What an API server may keep is far smaller: etcd takes 1.5 MiB. */
const OBJECT_BYTES_MAX = 8 * 1024 * 1024;
/** What stands around the items of a list. */
const ENVELOPE_BYTES_MAX = 64 * 1024;
/** From the name of the items to their begin, with white space that no server writes. */
const KEY_BYTES_MAX = 64;
const JOINED_BYTES_MIN = 1024;
const EMPTY = Buffer.alloc(0);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;

/** JSON as it comes is not what was announced. */
export class MalformedJson extends Error {}

/**
 * Cuts a body that comes in pieces into its objects, without parsing it: in one go a list of 30 MB would stop this thread for
 * half a second. `stream`: objects one after the other, as a watch sends them. `list`: the members of the array `items` of one
 * object; what stands around them is kept. Whether an object is JSON shows when it is parsed.
 */
export class JsonCutter {
  readonly #form: 'stream' | 'list';
  /** Objects and arrays that are open. */
  #depth = 0;
  /** The depth outside of the objects that are cut out; -1: there can be none here. */
  #outside: number;
  #inString = false;
  #escaped = false;
  #inObject = false;
  /** Of the object that is not whole. */
  readonly #object = new Joined('objects', OBJECT_BYTES_MAX);
  /** Of a list, without its items. */
  readonly #envelope = new Joined('what stands around the items of a list', ENVELOPE_BYTES_MAX);

  constructor(form: 'stream' | 'list') {
    this.#form = form;
    this.#outside = form === 'stream' ? 0 : -1;
  }

  /** The objects that this piece of the body completes; good until the next piece. Throws MalformedJson. */
  *cut(chunk: Buffer): Generator<Buffer> {
    /** Where begins what is not kept yet, of an object or of the envelope. */
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      if (this.#inObject) {
        at = this.#endOfObject(chunk, at);
        if (at === chunk.length) break;
        this.#inObject = false;
        const last = chunk.subarray(from, at + 1);
        yield this.#object.bytes === 0 ? last : this.#object.add(last).take();
      } else if (this.#depth === this.#outside) {
        if (!this.#begins(chunk[at]!)) continue;
        from = at;
      } else if (this.#entersItems(chunk[at]!, chunk.subarray(from, at))) {
        this.#envelope.add(chunk.subarray(from, at + 1));
        this.#outside = 2;
      }
    }
    if (this.#inObject) this.#object.add(chunk.subarray(from));
    else if (this.#outside === -1) this.#envelope.add(chunk.subarray(from));
  }

  /** The body is over. Returns the envelope of a list, with `items` empty. Throws MalformedJson where something is missing. */
  end(): Buffer {
    if (this.#depth > 0) throw new MalformedJson('Expected the rest of an object, got the end of the answer');
    return this.#envelope.take();
  }

  /** The offset of the byte that ends the object at hand, or the length: nearly all bytes are read here. */
  #endOfObject(chunk: Buffer, from: number): number {
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === BRACE_OPEN || byte === BRACKET_OPEN) depth++;
      else if ((byte === BRACE_CLOSE || byte === BRACKET_CLOSE) && --depth === this.#outside) break;
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return at;
  }

  /** Between objects: whether one begins here, or the rest of the envelope of a list. */
  #begins(byte: number): boolean {
    if (isFiller(byte, this.#depth)) return false;
    if (byte === BRACE_OPEN) {
      this.#inObject = true;
      this.#depth++;
    } else if (byte === BRACKET_CLOSE && this.#form === 'list') {
      this.#outside = -1;
      this.#depth--;
    } else throw new MalformedJson(`Expected an object, got the byte ${byte}`);
    return true;
  }

  /** In the envelope: whether the array of items begins here. */
  #entersItems(byte: number, before: Buffer): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
    } else if (byte === QUOTE) this.#inString = true;
    else if (byte === BRACE_OPEN) this.#depth++;
    else if (byte === BRACKET_OPEN) {
      this.#depth++;
      return this.#depth === 2 && /"items"\s*:\s*$/.test(this.#textBefore(before));
    } else if ((byte === BRACE_CLOSE || byte === BRACKET_CLOSE) && --this.#depth < 0)
      throw new MalformedJson('Expected the begin of an object, got an end');
    return false;
  }

  /** The end of the envelope as far as it came; not all of it, for it may hold thousands of arrays. */
  #textBefore(last: Buffer): string {
    const text = last.toString('latin1', Math.max(0, last.length - KEY_BYTES_MAX));
    return this.#envelope.textOfEnd(KEY_BYTES_MAX - text.length) + text;
  }
}

/** Pieces as one: in a buffer that grows, for many small ones would each cost far more than they hold. */
class Joined {
  readonly #what: string;
  readonly #bytesMax: number;
  #buffer = EMPTY;
  #bytes = 0;

  constructor(what: string, bytesMax: number) {
    this.#what = what;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Throws MalformedJson beyond the limit. */
  add(piece: Buffer): this {
    const bytes = this.#bytes + piece.length;
    if (bytes > this.#bytesMax)
      throw new MalformedJson(`Expected ${this.#what} of at most ${this.#bytesMax} bytes, got more`);
    if (bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#buffer.length, JOINED_BYTES_MIN));
      this.#buffer.copy(larger, 0, 0, this.#bytes);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#bytes);
    this.#bytes = bytes;
    return this;
  }

  textOfEnd(bytes: number): string {
    return this.#buffer.toString('latin1', Math.max(0, this.#bytes - bytes), this.#bytes);
  }

  /** All of it, and begins anew. */
  take(): Buffer {
    const whole = this.#buffer.subarray(0, this.#bytes);
    this.#buffer = EMPTY;
    this.#bytes = 0;
    return whole;
  }
}

/** White space (RFC 8259, 2), and between the items of a list commas. */
function isFiller(byte: number, depth: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09 || (byte === COMMA && depth === 2);
}
