import net from 'node:net';
import { type EventSource, LongTurn } from '../../lib/long-turn.ts';
import type { TimerOwner } from '../../lib/timer-wheel.ts';

/**
 * A TCP connection as the codecs want it: bytes come as ranges of one buffer that all connections of the thread share, and
 * what is written in one turn leaves in one write. `net` gives every read a buffer of its own, which costs 15 to 30 % more;
 * the `onread` option avoids that, but accepted sockets do not take it, so their handle is
 * wrapped anew. Where a Node does not let us, reads fall back to 'data' events.
 */
export interface WireOwner {
  /** The range is lent: it is valid only during the call. */
  onBytes(bytes: Buffer, start: number, end: number): void;
  /** The other side will send nothing more. */
  onEof(): void;
  /** All that was written has left, after `full` was true. */
  onDrain(): void;
  /** The connection is gone, for whatever reason. Called once, last. */
  onClose(): void;
}

/** An outgoing connection tells when it is made. */
export interface DialOwner extends WireOwner {
  onConnect(): void;
}

/**
 * The largest range that one read brings, and that is written at once. A body of 64 KiB, a size that many programs use, comes
 * with its head in one read; without the room for that head it costs two reads and two writes more.
 */
export const READ_BYTES: number = 72 * 1024;
/** Room for a full read behind an ordinary head; `open` makes more for a larger one. */
const OUTBOX_BYTES = READ_BYTES + 8 * 1024;

/** How many outbox buffers are kept; a worker with more slow readers than that makes further ones, for as long as it needs them. */
const OUTBOXES = 8;
/**
 * The two ends of a copy must not have nearly the same place within their pages: processors then take each load for one that
 * waits for a store before it, and copying costs three times as much. So both kinds of buffers come from one piece of memory,
 * half a page apart.
 */
const HALF_PAGE = 2048;
const memory = Buffer.allocUnsafeSlow(READ_BYTES + HALF_PAGE + OUTBOXES * OUTBOX_BYTES);
const readBuffer = memory.subarray(0, READ_BYTES);
/** Outbox buffers that are not in use. */
const spare: Buffer[] = Array.from({ length: OUTBOXES }, (_, index) => {
  const start = READ_BYTES + HALF_PAGE + index * OUTBOX_BYTES;
  return memory.subarray(start, start + OUTBOX_BYTES);
});

function spareOutbox(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(OUTBOX_BYTES);
}

/**
 * A turn of the event loop that takes longer is ended. The beat of the worker (worker/pulse) is then 200 ms late, which is overload as
 * `--limit-loop-delay` comes, and far from the silence for which a worker is replaced.
 */
const TURN_MS = 250;
const longTurn = new LongTurn(TURN_MS);

const DIGITS = '0123456789abcdef';
const WIRE = Symbol('wire');

interface WireSocket extends net.Socket {
  [WIRE]: Wire;
  _handle: (object & { writeQueueSize?: number; useUserBuffer?: unknown }) | null;
}

let reportDefect: (error: unknown) => void = (error) => {
  throw error;
};

/** Where a loop in JavaScript and a call into the engine cost the same (bench/micro). */
const LOOP_BYTES_MAX = 48;

/** Copies a range. The pieces of a head are mostly shorter than what a native copy is worth. */
export function copyRange(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (end - start > LOOP_BYTES_MAX) {
    (source as Buffer).copy(target, at, start, end);
    return;
  }
  let to = at;
  for (let from = start; from < end; from++) target[to++] = source[from]!;
}

/** Who hears of an exception that a connection's own bytes brought about: it costs that connection, not the thread. */
export function onDefect(report: (error: unknown) => void): void {
  reportDefect = report;
}

/** For the timers of a thread: as an event on a wire, with what it writes sent at its end. */
export function runTimer(owner: TimerOwner, nowMs: number): void {
  try {
    owner.onTimer(nowMs);
  } catch (error) {
    reportDefect(error);
    // The wheel has forgotten the timer: without it the connection could hang for ever.
    owner.onDefect?.();
  }
  outbox.flush();
}

/**
 * What goes out in this turn of the event loop. One per thread: nearly always one connection is written to for each that is
 * read from, so that head, body and end of a message meet here and leave together.
 */
export class Outbox {
  bytes: Buffer = spareOutbox();
  at = 0;
  #wire: Wire | undefined = undefined;

  /** What follows goes to this wire and needs at most `room` bytes. */
  open(wire: Wire, room: number): void {
    if (this.#wire === wire && this.at + room <= this.bytes.length) return;
    this.flush();
    this.#wire = wire;
    // Only for heads near the largest --limit-head; `flush` returns to the usual size.
    if (room <= this.bytes.length) return;
    spare.push(this.bytes);
    this.bytes = Buffer.allocUnsafeSlow(room);
  }

  put(bytes: Uint8Array): void {
    this.copy(bytes, 0, bytes.length);
  }

  copy(bytes: Uint8Array, start: number, end: number): void {
    copyRange(bytes, start, end, this.bytes, this.at);
    this.at += end - start;
  }

  /** A count in digits, without a string. */
  number(value: number, radix: 10 | 16): void {
    let digits = 1;
    for (let rest = Math.floor(value / radix); rest > 0; rest = Math.floor(rest / radix)) digits++;
    let rest = value;
    for (let at = this.at + digits - 1; at >= this.at; at--) {
      this.bytes[at] = DIGITS.charCodeAt(rest % radix);
      rest = Math.floor(rest / radix);
    }
    this.at += digits;
  }

  flush(): void {
    const wire = this.#wire;
    if (wire === undefined) return;
    const length = this.at;
    this.#wire = undefined;
    this.at = 0;
    const lent = length > 0 && wire.send(this.bytes, length);
    if (lent || this.bytes.length > OUTBOX_BYTES) this.bytes = spareOutbox();
  }

  /** Where the next byte for this wire will stand: for `rewind`. */
  mark(wire: Wire): number {
    this.open(wire, 0);
    return this.at;
  }

  /** Takes back what was written since `mark`, if none of it has left. */
  rewind(wire: Wire, mark: number): boolean {
    if (this.#wire !== wire || this.at < mark) return false;
    this.at = mark;
    return true;
  }

  /** What was not sent yet is not wanted any more. */
  drop(wire: Wire): void {
    if (this.#wire !== wire) return;
    this.#wire = undefined;
    this.at = 0;
  }
}

export const outbox = new Outbox();

export class Wire implements EventSource {
  readonly #socket: WireSocket;
  #owner: WireOwner;
  /** An outbox buffer that the kernel did not take whole; ours again when the backlog has left. */
  #lent: Buffer | undefined = undefined;
  /** Its owner wants nothing now. */
  #paused = false;
  /** It reads nothing in this turn any more. */
  #rests = false;
  #lastQueued = 0;
  /** Counts what was sent, so that it can be told whether anything was. */
  sends = 0;

  private constructor(socket: net.Socket, owner: WireOwner) {
    this.#socket = socket as WireSocket;
    this.#socket[WIRE] = this;
    this.#owner = owner;
    socket.on('end', onSocketEnd);
    socket.on('drain', onSocketDrain);
    socket.on('error', onSocketError);
    socket.on('close', onSocketClose);
  }

  /** Takes an accepted (or transferred) socket that nothing was read from yet, and starts reading. */
  static adopt(accepted: net.Socket, owner: WireOwner, bufferBytes: number): Wire {
    const handle = (accepted as WireSocket)._handle;
    let socket = accepted;
    if (handle !== null && typeof handle.useUserBuffer === 'function') {
      (accepted as WireSocket)._handle = null;
      const options = {
        handle,
        allowHalfOpen: true,
        onread: READ_IN_PLACE,
        writableHighWaterMark: highWater(bufferBytes),
      };
      socket = new net.Socket(options as unknown as net.SocketConstructorOpts);
    } else {
      socket.on('data', onSocketData);
    }
    const wire = new Wire(socket, owner);
    socket.resume();
    // A handle that is wrapped while it already exists does not start by itself.
    socket.read(0);
    return wire;
  }

  static dial(host: string, port: number, owner: DialOwner, bufferBytes: number): Wire {
    const options: net.TcpNetConnectOpts & { writableHighWaterMark: number } = {
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      onread: READ_IN_PLACE,
      writableHighWaterMark: highWater(bufferBytes),
    };
    const socket = net.connect(options);
    const wire = new Wire(socket, owner);
    socket.once('connect', onSocketConnect);
    return wire;
  }

  /** More is waiting to be sent than the high-water mark: stop giving, `onDrain` will come. */
  get full(): boolean {
    // A single write beyond the mark wants a drain even if the kernel took it whole: that is not a full wire.
    return this.#socket.writableNeedDrain && this.#socket.writableLength > 0;
  }

  /** False from the moment that an error is known; `onClose` comes a little later. */
  get alive(): boolean {
    return !this.#socket.destroyed;
  }

  /** Something waits to be sent. */
  get queued(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** For the outbox only. True: the buffer belongs to the wire now. */
  send(bytes: Buffer, length: number): boolean {
    const socket = this.#socket;
    this.sends++;
    if (socket.destroyed) return false;
    if (socket.writableLength > 0) {
      socket.write(Buffer.from(bytes.subarray(0, length)));
      return false;
    }
    socket.write(bytes.subarray(0, length));
    if (socket.writableLength === 0) return false;
    this.#lent = bytes;
    return true;
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (!this.#rests) this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#rests) this.#socket.resume();
  }

  /** Reads nothing more in this turn of the event loop, which is long already. */
  rest(): void {
    this.#rests = true;
    if (!this.#paused) this.#socket.pause();
  }

  wake(): void {
    this.#rests = false;
    if (!this.#paused) this.#socket.resume();
  }

  /** Sends what is left, then FIN. */
  end(): void {
    outbox.flush();
    this.#socket.end();
  }

  /** Closes if nothing of ours waits to be sent: one system call less than `end` and waiting for the other side. */
  closeIfSent(): boolean {
    outbox.flush();
    if (this.queued) return false;
    this.#socket.destroy();
    return true;
  }

  /** At once. What the kernel has already is still sent. */
  close(): void {
    outbox.drop(this);
    this.#socket.destroy();
  }

  /** At once and with RST, so that nobody takes what was sent for complete. */
  reset(): void {
    outbox.drop(this);
    // On a connection that is still being made Node would wait for it, until the kernel gives up after two minutes. While a FIN goes
    // out libuv refuses a reset (EINVAL): Node then neither tells 'close', nor closes the handle, nor can its thread ever end.
    if (this.#socket.connecting || (this.#socket.writableEnded && !this.queued)) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** Has the other side taken any of what waits for it since the last call? 'drain' tells of the whole only. */
  moved(): boolean {
    const queued = this.#socket._handle?.writeQueueSize ?? 0;
    const moved = queued !== this.#lastQueued;
    this.#lastQueued = queued;
    return moved;
  }

  /** Runs an owner's method, then sends what it wrote. */
  turn(event: 'bytes' | 'eof' | 'drain' | 'close' | 'connect', bytes: Buffer, end: number): void {
    try {
      const owner = this.#owner;
      if (event === 'bytes') owner.onBytes(bytes, 0, end);
      else if (event === 'eof') owner.onEof();
      else if (event === 'drain') owner.onDrain();
      else if (event === 'close') owner.onClose();
      else (owner as DialOwner).onConnect();
    } catch (error) {
      outbox.drop(this);
      this.#socket.destroy();
      reportDefect(error);
    }
    outbox.flush();
  }

  /** Takes the lent buffer back. */
  reclaim(): void {
    if (this.#lent === undefined) return;
    if (spare.length < OUTBOXES && this.#lent.length === OUTBOX_BYTES) spare.push(this.#lent);
    this.#lent = undefined;
  }
}

/** One read is always let through: a mark below it would ask for a 'drain' event after every large write. */
function highWater(bufferBytes: number): number {
  return Math.max(bufferBytes, OUTBOX_BYTES + 1);
}

const NOTHING = Buffer.alloc(0);

function onSocketRead(this: WireSocket, count: number): boolean {
  const wire = this[WIRE];
  wire.turn('bytes', readBuffer, count);
  longTurn.had(wire);
  return true;
}

/** Shared by all sockets: one object, one function. */
const READ_IN_PLACE: net.OnReadOpts = { buffer: readBuffer, callback: onSocketRead };

function onSocketData(this: net.Socket, chunk: Buffer): void {
  const wire = (this as WireSocket)[WIRE];
  for (let at = 0; at < chunk.length; at += READ_BYTES) {
    const count = chunk.copy(readBuffer, 0, at, Math.min(chunk.length, at + READ_BYTES));
    wire.turn('bytes', readBuffer, count);
  }
  longTurn.had(wire);
}

function onSocketEnd(this: net.Socket): void {
  (this as WireSocket)[WIRE].turn('eof', NOTHING, 0);
}

function onSocketDrain(this: net.Socket): void {
  const wire = (this as WireSocket)[WIRE];
  wire.reclaim();
  wire.turn('drain', NOTHING, 0);
}

function onSocketConnect(this: net.Socket): void {
  (this as WireSocket)[WIRE].turn('connect', NOTHING, 0);
}

/** 'close' follows and tells the owner; which error it was does not matter to a codec. */
function onSocketError(): void {}

function onSocketClose(this: net.Socket): void {
  const wire = (this as WireSocket)[WIRE];
  wire.reclaim();
  wire.turn('close', NOTHING, 0);
}
