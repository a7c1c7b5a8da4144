/** Of one message. The server has limits of its own; these keep what one message costs small. */
const LINES_MAX = 100;
const BYTES_MAX = 32 * 1024;
const BYTES_FIRST = 1024;
const VERSION = Buffer.from('NATS/1.0\r\n', 'latin1');
const SPACE = 32;
const COLON = 58;
const CR = 13;
const LF = 10;
const VISIBLE_MAX = 126;

/** RFC 9110 section 5.6.2: what a name may be made of. */
const TOKEN = new Uint8Array(128);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  TOKEN[char.charCodeAt(0)] = 1;

/** One block at a time is written in this thread, each in the same memory. */
let memory = Buffer.allocUnsafeSlow(BYTES_FIRST);
VERSION.copy(memory);
let writing: HeaderBlock | undefined = undefined;

/**
 * Writes the header block of a message (ADR-4): a fifth of what header objects of the client library cost, and stricter. What a
 * line is made of can never begin another line: names are tokens, values are visible ASCII and spaces. Which names a caller may
 * set is for others to say. Exactly the lines that were taken come out, or nothing does.
 */
export class HeaderBlock {
  #at = VERSION.length;
  #lines = 0;

  /** Of several that are being written only the last one comes to anything. */
  constructor() {
    // oxlint-disable-next-line typescript/no-this-alias -- told apart from the others, not used as an alias
    writing = this;
  }

  /**
   * Adds one line. A name may come again: it then has several values.
   * @returns false: name or value are not allowed, and the line is left out; or there are too many lines or bytes, and the whole
   * block comes to nothing, so that no line can be pushed out of it by others.
   */
  add(name: string, value: string): boolean {
    if (writing !== this) return false;
    // `: ` and CRLF, and the empty line of the block.
    const end = this.#at + name.length + value.length + 6;
    if (this.#lines === LINES_MAX || end > BYTES_MAX) {
      writing = undefined;
      return false;
    }
    reserve(end, this.#at);
    return name.length > 0 && this.#write(name, value);
  }

  /** A copy of the block, to its empty line; undefined: it has no lines, or there were too many. Nothing can be added later. */
  bytes(): Buffer | undefined {
    if (writing !== this || this.#lines === 0) return undefined;
    writing = undefined;
    memory[this.#at] = CR;
    memory[this.#at + 1] = LF;
    return Buffer.from(memory.subarray(0, this.#at + 2));
  }

  #write(name: string, value: string): boolean {
    let at = this.#at;
    for (let index = 0; index < name.length; index++) {
      const char = name.charCodeAt(index);
      if (TOKEN[char] !== 1) return false;
      memory[at++] = char;
    }
    memory[at++] = COLON;
    memory[at++] = SPACE;
    for (let index = 0; index < value.length; index++) {
      const char = value.charCodeAt(index);
      if (char < SPACE || char > VISIBLE_MAX) return false;
      memory[at++] = char;
    }
    memory[at++] = CR;
    memory[at++] = LF;
    this.#at = at;
    this.#lines++;
    return true;
  }
}

function reserve(bytes: number, used: number): void {
  if (bytes <= memory.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(bytes, 2 * memory.length), BYTES_MAX));
  memory.copy(larger, 0, 0, used);
  memory = larger;
}
