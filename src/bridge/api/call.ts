import type { MessageRecord, TraceContext } from '../../telemetry.ts';
import type { Head, Source } from '../../proxy/http.ts';
import type { Grants } from '../access.ts';
import type { Field } from '../headers.ts';
import type { MessageProblem } from '../problem.ts';

export type { Field };

/**
 * One call of the API, as its handler sees it: the request, read as far as the handler asks for, and one answer. `Params` are
 * what the route's schemas say, checked already.
 */
export interface Call<Path = Record<string, string>, Query = Record<string, unknown>> {
  /** May be read until the call is answered or aborted; what is needed later has to be taken out before. */
  readonly head: Head;
  readonly source: Source;
  /** As they are now: what a call may do can change while it runs. */
  readonly grants: Grants;
  /** Undefined: tracing is off. */
  readonly trace: TraceContext | undefined;
  /** Decoded once and checked. */
  readonly path: Path;
  readonly query: Query;
  /** Value of a request header by its lower-case name (several: joined by comma, RFC 9110 section 5.3); undefined: absent. */
  header(name: string): string | undefined;
  /**
   * Collects the whole body and gives it, once. Beyond `maxBytes` the call is answered with 413, and `use` is not called.
   * This or `bodyPieces` has to be called within `handle`: else the body is thrown away.
   */
  body(maxBytes: number, use: (body: Buffer) => void): void;
  /** Gives the body as it comes. Ranges are lent for the call; false: paused until `resumeBody`. */
  bodyPieces(onPiece: (bytes: Buffer, start: number, end: number) => boolean, onEnd: () => void): void;
  resumeBody(): void;
  /** The reply may take so long from the end of the request. */
  expectReplyWithin(ms: number): void;
  /** What the call is about, for metrics, spans and log; call it before the answer. */
  describe(message: MessageRecord): void;
  /** The whole answer. Content-Length is added. A call is answered once; what comes after the client has gone is dropped. */
  reply(status: number, fields: readonly Field[], body: Uint8Array | undefined): void;
  /** An answer that has begun is cut. @param fields beside those of the document. */
  problem(problem: MessageProblem, fields?: readonly Field[]): void;
  /** Begins an answer of unknown length. */
  stream(status: number, fields: readonly Field[]): void;
  /** False: the client does not keep up; `onWritable` tells when it does again. */
  write(bytes: Uint8Array): boolean;
  finish(): void;
  /** Cuts a streamed answer, so that nobody takes it for complete. */
  cut(): void;
  /** Set by the handler. */
  onWritable: (() => void) | undefined;
  /** The client has gone, or the mesh gave the exchange up: nothing can be answered any more. */
  onAbort: (() => void) | undefined;
  /** The node is about to end: long answers come to their end now. */
  onDrain: (() => void) | undefined;
  /** What callers may do has changed. */
  onPolicies: (() => void) | undefined;
}
