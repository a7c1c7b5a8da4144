import type { Msg } from '@nats-io/transport-node';
import type { TimerOwner } from '../../lib/timer-wheel.ts';
import { runTimer } from '../../proxy/http.ts';
import type { Field } from '../headers.ts';
import { headerText, messageBlock } from './message-block.ts';
import { type Delivery, type DeliveryOwner, type DeliveryParts, type DeliveryRecord, recordFor } from './delivery.ts';
import { DeliveryExchange, type DeliveryExchangeOwner } from './exchange.ts';

const NO_BYTES = Buffer.alloc(0);
/** What a reply says of its body; the rest of its fields is between the endpoint and the mesh. */
const MAPPED = /^(?:content-type|content-encoding|ce-.*|x-(?!heddle-|forwarded-).*)$/;

/** A message that nobody keeps: one attempt is made (bridge.md section 4, mode core), and whoever waits for a reply gets the answer. */
export class CoreDelivery implements Delivery, DeliveryExchangeOwner, TimerOwner {
  readonly #owner: DeliveryOwner;
  readonly #parts: DeliveryParts;
  readonly #exchange: DeliveryExchange;
  readonly #onIdle: (delivery: CoreDelivery) => void;
  #message: Msg | undefined = undefined;
  #bytes = 0;
  #record!: DeliveryRecord;

  /** @param onIdle it has nothing to do any more, and can take the next one. */
  constructor(owner: DeliveryOwner, parts: DeliveryParts, hash: number, onIdle: (delivery: CoreDelivery) => void) {
    this.#owner = owner;
    this.#parts = parts;
    this.#onIdle = onIdle;
    this.#exchange = new DeliveryExchange(this, parts.serve, parts.heads, hash);
  }

  take(message: Msg): void {
    this.#message = message;
    this.#bytes = message.data.length;
    this.#parts.held.take(this.#bytes);
    runTimer(this, 0);
  }

  onTimer(): void {
    const message = this.#message!;
    const { subscription, writer } = this.#owner;
    const written = writer.write({ message, stream: '', sequence: 0, storedMs: 0, attempt: 1 });
    if (written.type !== 'request') {
      if (written.type !== 'unmatched') this.#fail(400, written.reason);
      this.#release();
      return;
    }
    this.#record = recordFor(subscription);
    this.#record.producer = written.producer;
    this.#exchange.start(written.head, written.body, {
      timeoutMs: subscription.timeoutMs,
      keepReply: replySubject(message) !== undefined,
      record: this.#record,
    });
  }

  onDefect(): void {
    if (this.#exchange.active) this.#exchange.onDefect();
    else this.#release();
  }

  onAnswer(answer: DeliveryExchange): void {
    const { status, failure } = answer;
    if (status >= 200 && status < 300 && failure === undefined) {
      this.#owner.counters.delivered++;
      this.#record.result = 'ok';
      this.#reply(status, '', answer);
    } else {
      this.#record.result = 'failed';
      this.#fail(status === 0 ? 504 : status, failure ?? `status ${status}`);
    }
  }

  onOver(): void {
    this.#release();
  }

  #fail(status: number, reason: string): void {
    this.#owner.counters.failed++;
    this.#owner.fault(reason);
    this.#reply(status, reason, this.#exchange);
  }

  /** As services answer (ADR-32): an error has its code and text in headers. */
  #reply(status: number, error: string, { fields, body }: Pick<DeliveryExchange, 'fields' | 'body'>): void {
    const subject = this.#message === undefined ? undefined : replySubject(this.#message);
    if (subject === undefined) return;
    const { link } = this.#parts;
    const own: Field[] = [['Http-Status', String(status)]];
    if (status >= 400) {
      own.push(['Nats-Service-Error-Code', String(status)]);
      own.push(['Nats-Service-Error', headerText(error)]);
    }
    const headers = messageBlock(
      own,
      fields.filter(([name]) => MAPPED.test(name)),
    );
    const bytes = body.length + (headers?.length ?? 0);
    const fits = link.refusal(bytes) === undefined;
    link.publish({ subject, headers, body: fits ? body : NO_BYTES }, 'none', 0, (problem) => {
      if (problem !== undefined) this.#owner.fault(`The reply could not be sent: ${problem.detail}`);
    });
  }

  #release(): void {
    if (this.#message === undefined) return;
    this.#message = undefined;
    this.#parts.held.give(this.#bytes);
    this.#onIdle(this);
  }

  tick(): void {
    // Nobody waits for a sign of life.
  }

  letGo(): void {
    // Nobody else would have it.
  }

  cut(): void {
    if (this.#exchange.active) this.#exchange.cancel('shutdown', 'The node ends before the delivery was answered');
  }
}

/** What the server keeps for itself is no place for replies: whoever asked would write there with our rights. */
function replySubject({ reply }: Msg): string | undefined {
  return reply === undefined || reply === '' || reply.startsWith('$') ? undefined : reply;
}
