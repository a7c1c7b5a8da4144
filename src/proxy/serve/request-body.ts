import type { Carrier, Head } from '../http.ts';
import type { RequestCopy } from './request-copy.ts';
import { RetainedBody } from './retained-body.ts';

/**
 * Of all bodies of a thread together, to be sent again: else the `retry-body-max` of one Service could take all memory of the node,
 * outside the heap that `--limit-heap` looks at. (Buffers have up to twice that room.) What waits for a connection is held all the
 * same, as reading stops there.
 */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;
let keptBytes = 0;

/** The body of a request on its way: what of it is kept to be sent, or sent again, and who else gets a copy. */
export class RequestBody {
  /** The whole request came with its head. */
  whole = true;
  /** All that was sent of it is kept. */
  replayable = false;
  /** Bytes that are kept to be sent again, at most. */
  keptMax = 0;
  trailers: Head | undefined = undefined;
  /** For mirrors, while it comes. */
  #copy: RequestCopy | undefined = undefined;
  readonly #kept = new RetainedBody();

  /** For mirrors: what is held of it, and what is still to come. Before anything of it is sent. */
  copyTo(copy: RequestCopy | undefined): void {
    const { bytes, length } = this.#kept;
    if (bytes !== undefined) copy?.data(bytes, 0, length);
    this.#copy = copy;
  }

  /** Something of it came. */
  came(bytes: Buffer, start: number, end: number): void {
    this.#copy?.data(bytes, start, end);
  }

  /** Something comes before there is a connection for it. */
  hold(bytes: Buffer, start: number, end: number): void {
    keptBytes += end - start;
    this.#kept.add(bytes, start, end);
  }

  /** Something goes out: it is kept for another attempt, where there may be one and it is not too much. */
  keep(bytes: Buffer, start: number, end: number): void {
    if (!this.replayable) return;
    if (this.#hasRoom(end - start)) this.hold(bytes, start, end);
    else this.forget();
  }

  /** Sends what is kept. False: the carrier takes no more. */
  sendKept(carrier: Carrier): boolean {
    const { bytes, length } = this.#kept;
    const isTaken = bytes === undefined || carrier.data(bytes, 0, length);
    if (!this.replayable || !this.#hasRoom(0)) this.forget();
    return isTaken;
  }

  #hasRoom(bytes: number): boolean {
    return this.#kept.length + bytes <= this.keptMax && keptBytes + bytes <= KEPT_BYTES_MAX;
  }

  /** The request is here. */
  end(trailers: Head | undefined): void {
    this.trailers = trailers;
    this.#copy?.end();
    this.#copy = undefined;
  }

  /** There is no other attempt. */
  forget(): void {
    this.replayable = false;
    keptBytes -= this.#kept.length;
    this.#kept.clear();
  }

  /** It will never be complete, or goes nowhere any more. */
  dropCopy(): void {
    this.#copy?.drop();
    this.#copy = undefined;
  }

  clear(): void {
    this.forget();
    this.trailers = undefined;
    this.dropCopy();
  }
}
