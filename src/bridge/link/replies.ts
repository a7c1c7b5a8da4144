import type { NatsConnection, Subscription as Interest } from '@nats-io/transport-node';
import { MessageProblem } from '../problem.ts';
import { errorText } from './error-text.ts';
import type { Question } from './questions.ts';

/** Requests and stores together. Each is small: what was sent is not kept. */
const WAITING_MAX = 8192;
const SUBSCRIBE_AGAIN_MS = 5000;

/**
 * The inbox of the link: one interest for all replies, and no promise for any. What comes late, or to nobody, is dropped; a
 * reply subject is never used again.
 */
export class Replies {
  readonly #prefix: string;
  readonly #waiting = new Map<string, Question>();
  #connection: NatsConnection | undefined = undefined;
  #interest: Interest | undefined = undefined;
  /** The server does not let us listen. */
  #denied: MessageProblem | undefined = undefined;
  #deniedMs = 0;
  #next = 0;

  /** @param inbox that nobody can guess who may publish to inboxes but not listen there. */
  constructor(inbox: string) {
    this.#prefix = `${inbox}.`;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Why no question would be asked now. */
  refusal(): MessageProblem | undefined {
    if (this.#denied !== undefined && performance.now() - this.#deniedMs > SUBSCRIBE_AGAIN_MS) this.#subscribe();
    if (this.#denied !== undefined) return this.#denied;
    if (this.#waiting.size < WAITING_MAX) return undefined;
    return new MessageProblem('busy', `Expected fewer than ${WAITING_MAX} messages without an answer, got so many`);
  }

  /** The link is up. */
  start(connection: NatsConnection): void {
    // The interest itself comes back with its connection, unless the server has ended it.
    if (this.#connection === connection && this.#interest?.isClosed() === false) return;
    this.#connection = connection;
    this.#subscribe();
  }

  /** Names the subject that the reply comes to. */
  add(question: Question): void {
    const token = (this.#next++).toString(36);
    this.#waiting.set(token, question);
    question.onOver = () => this.#waiting.delete(token);
    question.reply = this.#prefix + token;
  }

  fail(problem: MessageProblem): void {
    // Not those that are asked because of it.
    const waiting = [...this.#waiting.values()];
    for (const question of waiting) question.fail(problem);
  }

  /** The server has refused to pass on what goes to this subject. */
  refuse(subject: string, problem: MessageProblem): void {
    const refused = [...this.#waiting.values()].filter((question) => question.subject === subject);
    for (const question of refused) question.fail(problem);
  }

  sweep(nowMs: number): void {
    for (const question of this.#waiting.values()) if (question.dueMs <= nowMs) question.late();
  }

  #subscribe(): void {
    this.#denied = undefined;
    const interest = this.#connection?.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#waiting.get(message.subject.slice(this.#prefix.length))?.answer(message);
        else if (interest === this.#interest) this.#deny(error);
      },
    });
    this.#interest = interest;
  }

  #deny(error: Error): void {
    const detail = `The NATS user of this node may not listen to replies: ${errorText(error)}`;
    this.#denied = new MessageProblem('broker-error', detail, { outcome: 'not-sent' });
    this.#deniedMs = performance.now();
    this.fail(new MessageProblem('broker-error', detail));
  }
}
