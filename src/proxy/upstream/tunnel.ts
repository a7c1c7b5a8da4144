import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { Endpoint } from '../../model/snapshot.ts';
import {
  type Carrier,
  type CarrierOwner,
  composeReply,
  type DialOwner,
  feedHead,
  type HttpContext,
  startReply,
  Wire,
  writePayload,
} from '../http.ts';
import type { CarrierWaiter } from './pool.ts';

/** Bytes to an endpoint and back, for CONNECT: a connection of its own, whose making is the answer (RFC 9110 section 9.3.6). */
export class Tunnel implements Carrier, DialOwner, TimerOwner {
  readonly reused = false;
  replyBegan = false;
  readonly #context: HttpContext;
  readonly #timer = new Timer(this);
  #wire!: Wire;
  /** While the connection is being made. */
  #waiter: CarrierWaiter | undefined;
  #owner: CarrierOwner | undefined = undefined;
  #sentEnd = false;
  #gotEnd = false;

  readonly #onClosed: () => void;

  private constructor(context: HttpContext, waiter: CarrierWaiter, onClosed: () => void) {
    this.#context = context;
    this.#waiter = waiter;
    this.#onClosed = onClosed;
  }

  static dial(
    { address, port, connectMs }: Pick<Endpoint, 'address' | 'port'> & { readonly connectMs: number },
    context: HttpContext,
    waiter: CarrierWaiter,
    onClosed: () => void,
  ): Tunnel {
    const tunnel = new Tunnel(context, waiter, onClosed);
    const { wheel, limits } = context;
    wheel.after(tunnel.#timer, connectMs);
    tunnel.#wire = Wire.dial(address, port, tunnel, limits.buffer);
    return tunnel;
  }

  onConnect(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    this.#context.wheel.remove(this.#timer);
    if (waiter === undefined) this.abort();
    else waiter.onCarrier(this);
  }

  start(owner: CarrierOwner): void {
    const { heads, headLimits } = this.#context;
    this.#owner = owner;
    this.replyBegan = true;
    const head = heads.take();
    composeReply(head, 200, []);
    startReply(head);
    feedHead(head, head.bytes, 0, 0, headLimits);
    owner.onReply(head);
    heads.give(head);
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    return writePayload(this.#wire, bytes, start, end, false);
  }

  end(): void {
    this.#sentEnd = true;
    this.#wire.end();
    this.#settle();
  }

  /** Both directions have ended: what is still queued gets as long as an idle stream, then the place is free again. */
  #settle(): void {
    if (!this.#sentEnd || !this.#gotEnd) return;
    this.#owner = undefined;
    this.#context.wheel.after(this.#timer, this.#context.timeouts.idleMs);
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  moved(): boolean {
    return this.#wire.moved();
  }

  /** Also while the connection is being made: its waiter does not wait any more. */
  abort(): void {
    this.#waiter = undefined;
    this.#owner = undefined;
    this.#wire.reset();
  }

  discard(): void {
    this.abort();
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#owner?.onReplyData(bytes, start, end);
  }

  onEof(): void {
    this.#gotEnd = true;
    const owner = this.#owner;
    this.#settle();
    owner?.onReplyEnd(undefined);
  }

  onDrain(): void {
    this.#owner?.onCarrierDrain();
  }

  onTimer(): void {
    const waiter = this.#waiter;
    this.abort();
    waiter?.onNoCarrier('connect-timeout', 'No connection to the endpoint in time');
  }

  onDefect(): void {
    this.#wire.close();
  }

  onClose(): void {
    this.#context.wheel.remove(this.#timer);
    this.#onClosed();
    const waiter = this.#waiter;
    const owner = this.#owner;
    this.#waiter = undefined;
    this.#owner = undefined;
    waiter?.onNoCarrier('connect-failed', 'No connection to the endpoint');
    if (!this.#gotEnd || !this.#sentEnd) owner?.onFailure('upstream-reset', 'The endpoint broke the connection off');
  }
}
