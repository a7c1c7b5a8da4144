import type { Msg } from '@nats-io/transport-node';
import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import { runTimer } from '../../proxy/http.ts';
import { ACKNOWLEDGED, type Delivered, notAcknowledged, readDelivered, terminated, WORKING } from '../delivered.ts';
import { storeDeadLetter } from './dead-letter.ts';
import { type Delivery, type DeliveryOwner, type DeliveryParts, type DeliveryRecord, recordFor } from './delivery.ts';
import { DeliveryExchange, type DeliveryExchangeOwner } from './exchange.ts';
import { judge, type Redelivery, refused, type Verdict } from './verdict.ts';

/** Between tries of a message whose Service cannot be reached. */
const HOLD_MS_FIRST = 100;
const HOLD_MS_MAX = 5000;

type Phase =
  | 'idle'
  /** Asks how often it was given back before. */
  | 'asking'
  /** Its request is about to begin. */
  | 'due'
  | 'sent'
  /** Waits for an endpoint. */
  | 'held'
  /** Something is stored before the server is told. */
  | 'settling';

/**
 * One message of a stream, from the pull to its acknowledgement (bridge.md section 4). What cannot be told because the link is lost
 * is delivered again by the server.
 */
export class StreamDelivery implements Delivery, DeliveryExchangeOwner, TimerOwner {
  readonly #owner: DeliveryOwner;
  readonly #parts: DeliveryParts;
  readonly #exchange: DeliveryExchange;
  readonly #timer = new Timer(this);
  readonly #onIdle: (delivery: StreamDelivery) => void;
  #phase: Phase = 'idle';
  #message: Msg | undefined = undefined;
  #bytes = 0;
  #delivered!: Delivered;
  /** How often it was given back without an attempt. */
  #returned = 0;
  #verdict: Verdict | undefined = undefined;
  #status = 0;
  readonly #record: DeliveryRecord;
  #heldSinceMs = 0;
  #holdMs = 0;
  /** When the server last heard of it. */
  #toldMs = 0;

  /** @param onIdle it has nothing to do any more, and can take the next one. */
  constructor(owner: DeliveryOwner, parts: DeliveryParts, hash: number, onIdle: (delivery: StreamDelivery) => void) {
    this.#owner = owner;
    this.#parts = parts;
    this.#onIdle = onIdle;
    this.#exchange = new DeliveryExchange(this, parts.serve, parts.heads, hash);
    this.#record = recordFor(owner.subscription);
  }

  take(message: Msg): void {
    const delivered = readDelivered(message.reply ?? '');
    if (delivered === undefined) {
      this.#owner.fault('A message came that no consumer delivered');
      this.#onIdle(this);
      return;
    }
    this.#message = message;
    this.#delivered = delivered;
    this.#bytes = message.data.length;
    this.#parts.held.take(this.#bytes);
    this.#returned = 0;
    this.#heldSinceMs = 0;
    this.#toldMs = performance.now();
    if (delivered.count === 1) {
      this.#begin();
      return;
    }
    this.#owner.counters.redelivered++;
    this.#phase = 'asking';
    this.#parts.returned.read(delivered.consumer, delivered.sequence, (count) => {
      if (this.#phase !== 'asking' || this.#delivered !== delivered) return;
      // Without knowledge it is taken for the first attempt: better one too many than a dead letter too early.
      this.#returned = Math.min(count ?? delivered.count, delivered.count - 1);
      this.#begin();
    });
  }

  #begin(): void {
    if (this.#owner.letsGo) {
      this.#giveBack(0);
      return;
    }
    this.#phase = 'due';
    // As an event on a connection: what it writes leaves at its end, and a defect costs this message alone.
    runTimer(this, 0);
  }

  /** Which attempt of the Service this is. */
  get #attempt(): number {
    return this.#delivered.count - this.#returned;
  }

  onTimer(): void {
    if (this.#phase !== 'due' && this.#phase !== 'held') return;
    if (this.#owner.letsGo) this.#giveBack(0);
    else this.#send(this.#message!);
  }

  onDefect(): void {
    if (this.#exchange.active) this.#exchange.onDefect();
    else if (this.#phase === 'due') this.#settle(notAcknowledged(this.#owner.subscription.retry.capMs));
  }

  #send(message: Msg): void {
    const { subscription, writer } = this.#owner;
    const { stream, sequence, storedMs } = this.#delivered;
    const attempt = this.#attempt;
    const written = writer.write({ message, stream, sequence, storedMs, attempt });
    if (written.type === 'unmatched') {
      this.#settle(ACKNOWLEDGED);
      return;
    }
    if (written.type !== 'request') {
      this.#status = 0;
      const redelivery = this.#redelivery;
      const deadLetter = redelivery.deadLetter && written.type === 'impossible';
      this.#obey(refused(written.reason, { ...redelivery, deadLetter }));
      return;
    }
    this.#phase = 'sent';
    const record = this.#record;
    record.stream = stream;
    record.sequence = sequence;
    record.attempt = attempt;
    record.result = '';
    record.producer = written.producer;
    const { timeoutMs } = subscription;
    this.#exchange.start(written.head, written.body, { timeoutMs, keepReply: false, record });
  }

  onAnswer(answer: DeliveryExchange): void {
    this.#status = answer.status;
    this.#verdict = judge(answer, this.#redelivery);
    this.#record.result = this.#verdict.type === 'acknowledge' ? 'ok' : this.#verdict.type;
  }

  onOver(): void {
    const verdict = this.#verdict;
    this.#verdict = undefined;
    if (this.#phase === 'sent' && verdict !== undefined) this.#obey(verdict);
  }

  get #redelivery(): Redelivery {
    const { subscription, deadLetter } = this.#owner;
    return {
      policy: subscription.retry,
      attempt: this.#attempt,
      deadLetter: deadLetter !== undefined,
      dice: Math.random,
    };
  }

  #obey(verdict: Verdict): void {
    const { counters } = this.#owner;
    switch (verdict.type) {
      case 'acknowledge':
        counters.delivered++;
        this.#settle(ACKNOWLEDGED);
        break;
      case 'retry':
        this.#blame(verdict.reason);
        if (verdict.endless) this.#owner.onEndless();
        this.#settle(notAcknowledged(verdict.delayMs));
        break;
      case 'dead-letter':
        this.#blame(verdict.reason);
        this.#putAway(verdict.reason);
        break;
      case 'hold':
        this.#hold(verdict.reason);
        break;
      case 'gone':
        this.#owner.fault('EndpointGone: the endpoint answered 410');
        this.#owner.onGone();
        this.#giveBack(this.#parts.timings.goneMs);
        break;
    }
  }

  #blame(reason: string): void {
    this.#owner.counters.failed++;
    this.#owner.fault(reason);
  }

  /** Stored first, then ended: in between a crash makes a duplicate, which the stream of dead letters knows by its id. */
  #putAway(reason: string): void {
    const { subscription, deadLetter, counters } = this.#owner;
    const message = this.#message!;
    const delivered = this.#delivered;
    this.#phase = 'settling';
    const attempts = this.#attempt;
    const letter = { subscription: subscription.id, message, delivered, attempts, status: this.#status, reason };
    storeDeadLetter(this.#parts, deadLetter!, letter, (problem) => {
      if (this.#delivered !== delivered || this.#phase !== 'settling') return;
      if (problem === undefined) {
        counters.deadLettered++;
        this.#settle(terminated(`dead letter: ${reason}`));
      } else {
        this.#owner.fault(`The dead letter could not be stored: ${problem.detail}`);
        this.#settle(notAcknowledged(subscription.retry.capMs));
      }
    });
  }

  /** The Service cannot be reached: it is kept for a while, because each time that it goes back the server counts a delivery. */
  #hold(reason: string): void {
    this.#owner.fault(`No attempt was made: ${reason}`);
    const nowMs = performance.now();
    if (this.#heldSinceMs === 0) {
      this.#heldSinceMs = nowMs;
      this.#holdMs = HOLD_MS_FIRST;
    } else this.#holdMs = Math.min(2 * this.#holdMs, HOLD_MS_MAX);
    this.#phase = 'held';
    if (this.#owner.letsGo) this.#giveBack(0);
    else if (nowMs - this.#heldSinceMs > this.#parts.timings.holdMs) this.#giveBack(HOLD_MS_MAX);
    else this.#parts.serve.wheel.after(this.#timer, this.#holdMs);
  }

  /** Without an attempt: the server counts this delivery, so that it has to be noted. */
  #giveBack(delayMs: number): void {
    const { returned, serve } = this.#parts;
    const { counters, replicas } = this.#owner;
    const delivered = this.#delivered;
    serve.wheel.rest(this.#timer);
    this.#phase = 'settling';
    counters.returned++;
    returned.write(delivered.consumer, delivered.sequence, this.#returned + 1, replicas, () => {
      if (this.#delivered === delivered && this.#phase === 'settling') this.#settle(notAcknowledged(delayMs));
    });
  }

  #settle(answer: Buffer): void {
    this.#tell(answer);
    this.#phase = 'idle';
    this.#message = undefined;
    this.#parts.held.give(this.#bytes);
    this.#onIdle(this);
  }

  #tell(answer: Buffer): void {
    const { link, acknowledgements } = this.#parts;
    if (link.up) acknowledgements.add(this.#message!.reply!, answer);
    else this.#owner.fault('The link was lost before an acknowledgement: the message will come again');
    this.#toldMs = performance.now();
  }

  tick(nowMs: number): void {
    if (this.#phase === 'idle' || nowMs - this.#toldMs < this.#parts.timings.ackWaitMs / 2) return;
    if (this.#parts.link.up) this.#tell(WORKING);
  }

  letGo(): void {
    if (this.#phase === 'held') this.#giveBack(0);
  }

  cut(): void {
    if (this.#phase === 'sent') {
      this.#phase = 'due';
      this.#exchange.cancel('shutdown', 'The node ends before the delivery was answered');
      this.#settle(notAcknowledged(0));
    } else if (this.#phase !== 'idle') this.#settle(notAcknowledged(0));
    this.#parts.serve.wheel.remove(this.#timer);
  }
}
