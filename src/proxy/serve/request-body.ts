import type { Carrier, Head } from '../http.ts';
import type { RequestCopy } from './request-copy.ts';
import { RetainedBody } from './retained-body.ts';

/** The body of a request on its way: what of it is kept to be sent, or sent again, and who else gets a copy. */
export class RequestBody {
  /** The whole request came with its head. */
  whole = true;
  /** All that was sent of it is kept. */
  replayable = false;
  trailers: Head | undefined = undefined;
  /** For mirrors, while it comes. */
  copy: RequestCopy | undefined = undefined;
  readonly #kept = new RetainedBody();

  /** Something comes before there is a connection for it. */
  hold(bytes: Buffer, start: number, end: number): void {
    this.#kept.add(bytes, start, end);
  }

  /** Something goes out: it is kept for another attempt, where there may be one and it is not too much. */
  keep(bytes: Buffer, start: number, end: number, max: number): void {
    if (!this.replayable) return;
    if (this.#kept.length + end - start <= max) this.hold(bytes, start, end);
    else this.forget();
  }

  /** Sends what is kept. False: the carrier takes no more. */
  sendKept(carrier: Carrier): boolean {
    const { bytes, length } = this.#kept;
    const isTaken = bytes === undefined || carrier.data(bytes, 0, length);
    if (!this.replayable) this.forget();
    return isTaken;
  }

  /** The request is here. */
  end(trailers: Head | undefined): void {
    this.trailers = trailers;
    this.copy?.end();
    this.copy = undefined;
  }

  /** There is no other attempt. */
  forget(): void {
    this.replayable = false;
    this.#kept.clear();
  }

  clear(): void {
    this.forget();
    this.trailers = undefined;
    this.copy?.drop();
    this.copy = undefined;
  }
}
