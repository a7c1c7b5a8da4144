import type { MsgHdrs, PublishOptions } from '@nats-io/transport-node';
import { callOut } from '../call-out.ts';
import type { OutgoingMessage, Settle } from '../link.ts';
import { MessageProblem } from '../problem.ts';

/** What a message costs beside its bytes, here and in the client library: so that small ones are bounded too. */
const OVERHEAD_BYTES = 256;
const NOTHING = new Uint8Array();

/**
 * A message from the call that gave it to the link until its fate is told. It is also what the client library takes as options and
 * as headers (an object with `encode`): one object for each message, not four.
 */
export abstract class Departure implements PublishOptions {
  readonly subject: string;
  /** What it counts for while it is on its way. */
  readonly bytes: number;
  readonly timeoutMs: number;
  /** Told, or nobody wants to hear of it any more. */
  over = false;
  /** When it is given up, by the monotonic clock. */
  dueMs: number;
  reply = '';
  declare readonly headers?: MsgHdrs;
  #body: Uint8Array;
  #block: Buffer | undefined;

  constructor({ subject, headers, body }: OutgoingMessage, timeoutMs: number) {
    this.subject = subject;
    this.#body = body;
    this.bytes = body.length + (headers?.length ?? 0) + OVERHEAD_BYTES;
    this.timeoutMs = timeoutMs;
    this.dueMs = performance.now() + timeoutMs;
    this.#block = headers;
    // The library asks for nothing but `encode`.
    if (headers !== undefined) this.headers = this as unknown as MsgHdrs;
  }

  get body(): Uint8Array {
    return this.#body;
  }

  encode(): Buffer | undefined {
    return this.#block;
  }

  /** The client library has its bytes: here they would stay for as long as an answer is waited for. */
  unload(): void {
    this.#body = NOTHING;
    this.#block = undefined;
  }

  /** The client library has it. @returns it waits for the PONG of a PING behind it. */
  abstract handedOver(): boolean;

  /** The server has read it, and everything before it. */
  abstract taken(): void;

  /** Its time is over. */
  abstract late(): void;

  /** It is told so; unless it is over. */
  abstract fail(problem: MessageProblem): void;
}

/** A message to whoever listens. */
export class Publication extends Departure {
  readonly #ack: 'none' | 'server';
  readonly #settle: Settle<undefined>;

  constructor(message: OutgoingMessage, ack: 'none' | 'server', timeoutMs: number, settle: Settle<undefined>) {
    super(message, timeoutMs);
    this.#ack = ack;
    this.#settle = settle;
  }

  handedOver(): boolean {
    if (this.#ack === 'server') return true;
    this.#end(undefined);
    return false;
  }

  taken(): void {
    this.#end(undefined);
  }

  late(): void {
    this.fail(new MessageProblem('timeout', `Expected the server to take the message within ${this.timeoutMs} ms`));
  }

  fail(problem: MessageProblem): void {
    this.#end(problem);
  }

  #end(problem: MessageProblem | undefined): void {
    if (this.over) return;
    this.over = true;
    callOut(() => {
      this.#settle(problem, undefined);
    });
  }
}
