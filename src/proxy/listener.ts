import { BlockList, type Socket } from 'node:net';
import type { ListenerName } from '../model/message.ts';
import type { Cidr } from '../model/settings.ts';
import { sourceHash } from './balance.ts';
import { sourceLines } from './filter.ts';
import {
  type Connection,
  type Door,
  type Exchange,
  type ExchangeOwner,
  H1Downstream,
  type Source,
  Wire,
} from './http.ts';
import { WORKER, type WorkerMeter } from '../telemetry.ts';
import { type ServeContext, Serving } from './serve.ts';

/** Connections end at their age ± this share, so that clients that came together do not come back together. */
const AGE_JITTER = 0.2;
const MAPPED_IPV4 = '::ffff:';

/** What the connections of one address share. */
interface SourceConnections {
  count: number;
  readonly trusted: boolean;
  readonly lines: Buffer;
  readonly hash: number;
}

/** The downstream connections of a worker: who may come in, and how they end. */
export class Listener implements Door {
  draining = false;
  readonly #context: ServeContext;
  readonly #trusted: BlockList | undefined;
  readonly #connections = new Set<Connection>();
  readonly #sources = new Map<string, SourceConnections>();
  readonly #meter: WorkerMeter;
  readonly #onGone: () => void;
  #onEmpty: (() => void) | undefined = undefined;

  /** @param onGone a connection that `take` was given is gone. */
  constructor(context: ServeContext, trusted: readonly Cidr[], meter: WorkerMeter, onGone: () => void) {
    this.#context = context;
    this.#meter = meter;
    this.#onGone = onGone;
    if (trusted.length === 0) return;
    this.#trusted = new BlockList();
    for (const { address, prefix, family } of trusted) this.#trusted.addSubnet(address, prefix, family);
  }

  /**
   * Takes an accepted connection over, or closes it at once where a limit is reached.
   * @param listener that it came in on. @param listenerPort its port; asking the socket would cost a system call.
   */
  take(socket: Socket, listener: ListenerName, listenerPort: number): void {
    const { limits, pressure } = this.#context;
    const { remoteAddress } = socket;
    // Gone before it was looked at.
    if (remoteAddress === undefined) {
      socket.destroy();
      this.#onGone();
      return;
    }
    const address = remoteAddress.startsWith(MAPPED_IPV4) ? remoteAddress.slice(MAPPED_IPV4.length) : remoteAddress;
    const connections = this.#sources.get(address) ?? {
      count: 0,
      trusted: this.#isTrusted(address),
      lines: sourceLines(address),
      hash: sourceHash(address),
    };
    const { trusted, lines, hash } = connections;
    const full = this.#connections.size >= limits.connections;
    const ofSource = connections.count >= limits.connectionsPerSource;
    if (full || ofSource || pressure.sheds('connection')) {
      if (full || ofSource) this.#meter.add(full ? WORKER.refusedByLimit : WORKER.refusedBySource, 1);
      socket.destroy();
      this.#onGone();
      return;
    }
    this.#meter.add(WORKER.connectionsTotal, 1);
    this.#meter.add(WORKER.connections, 1);
    connections.count++;
    this.#sources.set(address, connections);
    const source: Source = { address, trusted, lines, hash, listener, listenerPort };
    const ageMs = limits.connectionAgeMs * (1 - AGE_JITTER + 2 * AGE_JITTER * Math.random());
    const connection = new H1Downstream(this.#context, this, source, ageMs);
    this.#connections.add(connection);
    connection.join(Wire.adopt(socket, connection, limits.buffer));
  }

  ownerFor(exchange: Exchange): ExchangeOwner {
    return Serving.of(exchange, this.#context);
  }

  #isTrusted(address: string): boolean {
    return this.#trusted?.check(address, address.includes(':') ? 'ipv6' : 'ipv4') ?? false;
  }

  onClosed(connection: Connection): void {
    this.#connections.delete(connection);
    const { address } = connection.source;
    const connections = this.#sources.get(address)!;
    if (--connections.count === 0) this.#sources.delete(address);
    this.#meter.add(WORKER.connections, -1);
    this.#onGone();
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

  /** The end: what is still under way is cut. */
  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  #tellIfEmpty(): void {
    if (this.#connections.size > 0) return;
    this.#onEmpty?.();
    this.#onEmpty = undefined;
  }
}
