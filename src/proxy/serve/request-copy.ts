import { feedHead, type Head, type HttpContext, requestIsSound, runTimer, startRequest } from '../http.ts';
import type { MirroredRequest } from './mirrored-request.ts';
import { RetainedBody } from './retained-body.ts';

/** Requests with more are not mirrored. */
export const BODY_BYTES_MAX: number = 64 * 1024;

/** What is kept of a request for its mirrors, until the last of them has sent it. Trailers are left out (RFC 9110 section 6.5.1). */
export class RequestCopy {
  /** Its own: the request may be over before its copies are. */
  readonly head: Head;
  /** The whole request came with its head. */
  readonly bodyless: boolean;
  readonly body: RetainedBody = new RetainedBody();
  readonly #context: HttpContext;
  readonly #requests: readonly MirroredRequest[];
  /** Of the requests: those that may still read it. */
  #readers: number;
  /** It is neither on its way nor dropped. */
  #wanted = true;

  private constructor(context: HttpContext, head: Head, bodyless: boolean, requests: readonly MirroredRequest[]) {
    this.#context = context;
    this.head = head;
    this.bodyless = bodyless;
    this.#requests = requests;
    this.#readers = requests.length;
    for (const request of requests) request.copy = this;
  }

  /** Undefined: nothing more will come, and it is on its way; or it cannot be copied. @param bodyless the whole request is here */
  static begin(
    context: HttpContext,
    head: Head,
    bodyless: boolean,
    requests: readonly MirroredRequest[],
  ): RequestCopy | undefined {
    const copy = new RequestCopy(context, context.heads.take(), bodyless, requests);
    // Read anew: offsets and meaning come out the same. One that a message became may be larger than requests may be here.
    const { bytes, base, length } = head;
    startRequest(copy.head);
    if (
      feedHead(copy.head, bytes, base, base + length, context.headLimits) !== base + length ||
      !requestIsSound(copy.head)
    ) {
      copy.drop();
      return undefined;
    }
    copy.head.keep();
    if (!bodyless) return copy;
    copy.end();
    return undefined;
  }

  data(bytes: Buffer, start: number, end: number): void {
    if (!this.#wanted) return;
    if (this.body.length + end - start > BODY_BYTES_MAX) this.drop();
    else this.body.add(bytes, start, end);
  }

  /** The request is complete. Its copies leave as events of their own: a defect in them must cost nobody else anything. */
  end(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    queueMicrotask(() => {
      for (const request of this.#requests) runTimer(request, 0);
    });
  }

  /** The request will never be complete, fails, or is too large. */
  drop(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    for (const request of this.#requests) request.drop();
  }

  /** One of the requests is over. */
  release(): void {
    this.#readers--;
    if (this.#readers > 0) return;
    this.body.clear();
    this.#context.heads.give(this.head);
  }
}
