import type { Msg } from '@nats-io/transport-node';
import { callOut } from '../call-out.ts';
import type { OutgoingMessage, Settle, Stored } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import { Departure } from './departure.ts';
import { isNoResponders, readPubAck } from './pub-ack.ts';

/** A message that is answered, by one reply or more. */
export abstract class Question extends Departure {
  /** Called when it waits for no more. */
  onOver: () => void = () => {};

  handedOver(): boolean {
    return false;
  }

  taken(): void {}

  abstract answer(reply: Msg): void;

  fail(problem: MessageProblem): void {
    this.end(() => {
      this.tell(problem);
    });
  }

  late(): void {
    this.fail(new MessageProblem('timeout', `Expected an answer within ${this.timeoutMs} ms`));
  }

  /** Nobody wants to hear of it any more. */
  cancel(): void {
    if (this.over) return;
    this.over = true;
    this.onOver();
  }

  protected abstract tell(problem: MessageProblem): void;

  protected end(tell: () => void): void {
    if (this.over) return;
    this.cancel();
    callOut(tell);
  }
}

/** Finds out why nobody took what was to be stored on a subject. */
export type Explain = (subject: string, tell: (problem: MessageProblem) => void) => void;

/** One that a stream takes. */
export class StoreQuestion extends Question {
  readonly #settle: Settle<Stored>;
  readonly #explain: Explain;

  constructor(message: OutgoingMessage, timeoutMs: number, settle: Settle<Stored>, explain: Explain) {
    super(message, timeoutMs);
    this.#settle = settle;
    this.#explain = explain;
  }

  answer(reply: Msg): void {
    if (isNoResponders(reply)) {
      // It waits for no reply any more: whatever becomes of the link now, it was not sent.
      this.onOver();
      this.#explain(this.subject, (problem) => {
        this.fail(problem);
      });
      return;
    }
    const stored = readPubAck(this.subject, reply);
    if (stored instanceof MessageProblem) this.fail(stored);
    else
      this.end(() => {
        this.#settle(undefined, stored);
      });
  }

  protected tell(problem: MessageProblem): void {
    this.#settle(problem, undefined);
  }
}

export class RequestQuestion extends Question {
  readonly #settle: Settle<Msg>;

  constructor(message: OutgoingMessage, timeoutMs: number, settle: Settle<Msg>) {
    super(message, timeoutMs);
    this.#settle = settle;
  }

  answer(reply: Msg): void {
    if (isNoResponders(reply)) this.fail(noResponders(this.subject));
    else
      this.end(() => {
        this.#settle(undefined, reply);
      });
  }

  protected tell(problem: MessageProblem): void {
    this.#settle(problem, undefined);
  }
}

export interface ManyOptions {
  readonly until: { readonly max: number; readonly stallMs: number; readonly timeoutMs: number };
  readonly onReply: (reply: Msg) => void;
  readonly settle: Settle<undefined>;
}

/** One with any number of replies (ADR-47). */
export class ManyQuestion extends Question {
  readonly #options: ManyOptions;
  readonly #endMs: number;
  #replies = 0;

  constructor(message: OutgoingMessage, options: ManyOptions) {
    super(message, options.until.timeoutMs);
    this.#options = options;
    this.#endMs = this.dueMs;
  }

  answer(reply: Msg): void {
    if (this.#replies === 0 && isNoResponders(reply)) {
      this.fail(noResponders(this.subject));
      return;
    }
    const { until, onReply } = this.#options;
    // Empty is the last one. With headers it says something all the same, as an error of a service does (ADR-32).
    const last = reply.data.length === 0;
    this.#replies++;
    this.dueMs = Math.min(this.#endMs, performance.now() + until.stallMs);
    if (!last || reply.headers !== undefined)
      callOut(() => {
        onReply(reply);
      });
    if (last || this.#replies >= until.max) this.#complete();
  }

  override late(): void {
    if (this.#replies > 0) this.#complete();
    else super.late();
  }

  protected tell(problem: MessageProblem): void {
    this.#options.settle(problem, undefined);
  }

  #complete(): void {
    this.end(() => {
      this.#options.settle(undefined, undefined);
    });
  }
}

function noResponders(subject: string): MessageProblem {
  return new MessageProblem('no-responders', `Nobody answers requests on ${subject}`);
}
