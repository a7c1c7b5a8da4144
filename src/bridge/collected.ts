import { MessageProblem } from './problem.ts';

const BYTES_FIRST = 4096;
/** Of all that is being collected in this thread, and of what one client may hold of it beside what it holds anyway. */
const TOGETHER_MAX = 64 * 1024 * 1024;
const CLIENT_MAX = 16 * 1024 * 1024;
const NOTHING: Buffer = Buffer.alloc(0);

/** For the client that there is no room for: nothing was sent, and it may try again. */
export const NO_ROOM = new MessageProblem(
  'busy',
  'Expected fewer bytes of bodies that have begun and not ended, of this client or of all, got more',
);

let together = 0;
const byClient = new Map<string, number>();

/**
 * What comes in pieces, until it is whole: one buffer that grows, for very many very small pieces. There is room for so much in a
 * thread, of which one client gets a part: one who sends slowly keeps nobody else from sending.
 */
export class Collected {
  readonly #client: string;
  #buffer: Buffer = NOTHING;
  #length = 0;

  /** @param client address: one of its bodies may be as large as all together, several not. */
  constructor(client: string) {
    this.#client = client;
  }

  get length(): number {
    return this.#length;
  }

  /** @param announced length of the whole; less than 0: unknown. @returns false: there is no room, and nothing was taken. */
  add(bytes: Buffer, start: number, end: number, announced = -1): boolean {
    const length = this.#length + end - start;
    if (length > this.#buffer.length && !this.#grow(length === announced ? length : Math.max(2 * length, BYTES_FIRST)))
      return false;
    bytes.copy(this.#buffer, this.#length, start, end);
    this.#length = length;
    return true;
  }

  /** Gives the whole away, and is empty again. */
  take(): Buffer {
    const whole = this.#buffer.subarray(0, this.#length);
    this.release();
    return whole;
  }

  release(): void {
    if (this.#buffer.length > 0) count(this.#client, -this.#buffer.length);
    this.#buffer = NOTHING;
    this.#length = 0;
  }

  #grow(bytes: number): boolean {
    const more = bytes - this.#buffer.length;
    const others = (byClient.get(this.#client) ?? 0) - this.#buffer.length;
    if (together + more > TOGETHER_MAX || (others > 0 && others + bytes > CLIENT_MAX)) return false;
    const larger = Buffer.allocUnsafe(bytes);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    count(this.#client, more);
    return true;
  }
}

function count(client: string, bytes: number): void {
  together += bytes;
  const held = (byClient.get(client) ?? 0) + bytes;
  if (held > 0) byClient.set(client, held);
  else byClient.delete(client);
}
