import { BlockList, type Socket } from 'node:net';
import type { TimerWheel } from '../lib/timer-wheel.ts';
import type { Settings } from '../model/settings.ts';
import {
  type BodyLimits,
  type DownstreamContext,
  type Exchange,
  type ExchangeOwner,
  H1Downstream,
  type HeadLimits,
  type HeadPool,
  type Source,
  Wire,
} from './http.ts';
import { sourceLines } from './filter.ts';
import { type ServeContext, Serving } from './serve.ts';

/** Connections end at their age ± this share, so that clients that came together do not come back together. */
const AGE_JITTER = 0.2;
const MAPPED_IPV4 = '::ffff:';

export interface ListenerOptions {
  readonly settings: Settings;
  readonly heads: HeadPool;
  readonly wheel: TimerWheel;
  readonly headLimits: HeadLimits;
  readonly bodyLimits: BodyLimits;
  readonly serve: ServeContext;
  /** A connection that `take` was given is gone. */
  onClosed(): void;
}

/** What the connections of one address share. */
interface SourceConnections {
  count: number;
  readonly trusted: boolean;
  readonly lines: Buffer;
}

/** The downstream connections of a worker: who may come in, and how they end. */
export class Listener implements DownstreamContext {
  readonly heads: HeadPool;
  readonly wheel: TimerWheel;
  readonly limits: Settings['limits'];
  readonly timeouts: Settings['timeouts'];
  readonly headLimits: HeadLimits;
  readonly bodyLimits: BodyLimits;
  draining = false;
  readonly #serve: ServeContext;
  readonly #trusted: BlockList | undefined;
  readonly #connections = new Set<H1Downstream>();
  readonly #sources = new Map<string, SourceConnections>();
  readonly #onClosed: () => void;
  #onEmpty: (() => void) | undefined = undefined;

  constructor({ settings, heads, wheel, headLimits, bodyLimits, serve, onClosed }: ListenerOptions) {
    this.heads = heads;
    this.wheel = wheel;
    this.limits = settings.limits;
    this.timeouts = settings.timeouts;
    this.headLimits = headLimits;
    this.bodyLimits = bodyLimits;
    this.#serve = serve;
    this.#onClosed = onClosed;
    if (settings.trustForwardedFrom.length > 0) {
      this.#trusted = new BlockList();
      for (const { address, prefix, family } of settings.trustForwardedFrom)
        this.#trusted.addSubnet(address, prefix, family);
    }
  }

  /**
   * Takes an accepted connection over, or closes it at once where a limit is reached.
   * @param listenerPort that it came in on; asking the socket would cost a system call.
   */
  take(socket: Socket, listenerPort: number): void {
    const { remoteAddress } = socket;
    // Gone before it was looked at.
    if (remoteAddress === undefined) {
      socket.destroy();
      this.#onClosed();
      return;
    }
    const address = remoteAddress.startsWith(MAPPED_IPV4) ? remoteAddress.slice(MAPPED_IPV4.length) : remoteAddress;
    const connections = this.#sources.get(address) ?? {
      count: 0,
      trusted: this.#isTrusted(address),
      lines: sourceLines(address),
    };
    const { trusted, lines } = connections;
    if (this.#connections.size >= this.limits.connections || connections.count >= this.limits.connectionsPerSource) {
      socket.destroy();
      this.#onClosed();
      return;
    }
    connections.count++;
    this.#sources.set(address, connections);
    const source: Source = { address, trusted, lines, listenerPort };
    const ageMs = this.limits.connectionAgeMs * (1 - AGE_JITTER + 2 * AGE_JITTER * Math.random());
    const connection = new H1Downstream(this, source, this.wheel.nowMs, ageMs);
    this.#connections.add(connection);
    connection.join(Wire.adopt(socket, connection, this.limits.buffer));
  }

  ownerFor(exchange: Exchange): ExchangeOwner {
    return Serving.of(exchange, this.#serve);
  }

  #isTrusted(address: string): boolean {
    return this.#trusted?.check(address, address.includes(':') ? 'ipv6' : 'ipv4') ?? false;
  }

  onClosed(connection: H1Downstream): void {
    this.#connections.delete(connection);
    const { address } = connection.source;
    const connections = this.#sources.get(address)!;
    if (--connections.count === 0) this.#sources.delete(address);
    this.#onClosed();
    this.#tellIfEmpty();
  }

  /** From now on replies end their connections. */
  drain(): void {
    this.draining = true;
  }

  /** No connection comes any more: those without an exchange close now, the others after theirs. */
  finish(onEmpty: () => void): void {
    this.draining = true;
    this.#onEmpty = onEmpty;
    for (const connection of this.#connections) connection.closeIdle();
    this.#tellIfEmpty();
  }

  #tellIfEmpty(): void {
    if (this.#connections.size > 0) return;
    this.#onEmpty?.();
    this.#onEmpty = undefined;
  }
}
