import type { NatsConnection } from '@nats-io/transport-node';
import { MessageProblem } from '../problem.ts';
import { errorText } from './error-text.ts';
import type { Departure } from './departure.ts';

/** So many bytes are not left without a PING behind them: they would count as on their way. */
const ASK_BYTES = 64 * 1024;
const NEVER = Number.POSITIVE_INFINITY;

/** What one PONG is the answer to: all that was handed over since the PING before. */
interface Wave {
  bytes: number;
  waiting: Departure[];
  /** The earliest of those that wait. */
  dueMs: number;
}

/**
 * What is on its way to the server. The messages of one turn of the event loop are handed over together, with one write and at most
 * one PING behind them. The client library takes any number and never says how many bytes the server has not read (bridge.md finding
 * 3): they are counted here, from the call until the PONG behind them.
 */
export class Outbound {
  /** Undefined: the link is not up. */
  #connection: NatsConnection | undefined = undefined;
  #turn: Departure[] = [];
  /** Handed over since the last PING. */
  #open: Wave = { bytes: 0, waiting: [], dueMs: NEVER };
  /** With a PING behind each, oldest first. */
  #asked: Wave[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get idle(): boolean {
    return this.#turn.length === 0 && this.#open.bytes === 0 && this.#asked.length === 0;
  }

  /** The link is up. */
  start(connection: NatsConnection): void {
    this.#connection = connection;
  }

  /** The link is lost. What was not handed over is told the one, what was the other. */
  stop(notSent: MessageProblem, unknown: MessageProblem): void {
    const turn = this.#turn;
    const waves = [...this.#asked, this.#open];
    this.#connection = undefined;
    this.#turn = [];
    this.#asked = [];
    this.#open = { bytes: 0, waiting: [], dueMs: NEVER };
    this.#bytes = 0;
    for (const departure of turn) departure.fail(notSent);
    for (const { waiting } of waves) for (const departure of waiting) departure.fail(unknown);
  }

  /** Only while the link is up. */
  add(departure: Departure): void {
    this.#bytes += departure.bytes;
    if (this.#turn.push(departure) === 1) setImmediate(this.#handOver);
  }

  /** The server has refused to pass on what goes to this subject: so it was not sent, though the PONG will come. */
  refuse(subject: string, problem: MessageProblem): void {
    for (const { waiting } of [...this.#asked, this.#open]) {
      for (const departure of waiting) if (departure.subject === subject) departure.fail(problem);
    }
  }

  /** Gives up what is late, and asks for a PONG to what was sent without waiting for one. */
  sweep(nowMs: number): void {
    if (this.#open.bytes > 0) this.#ask();
    for (const wave of this.#asked) if (wave.dueMs <= nowMs) sweepWave(wave, nowMs);
  }

  readonly #handOver = (): void => {
    const turn = this.#turn;
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#turn = [];
    let wanted = false;
    for (const departure of turn) {
      if (!this.#send(connection, departure)) {
        this.#bytes -= departure.bytes;
        continue;
      }
      this.#open.bytes += departure.bytes;
      if (!departure.handedOver()) continue;
      this.#open.waiting.push(departure);
      this.#open.dueMs = Math.min(this.#open.dueMs, departure.dueMs);
      wanted = true;
    }
    if (wanted || this.#open.bytes >= ASK_BYTES) this.#ask();
  };

  /** @returns it was handed over. */
  #send(connection: NatsConnection, departure: Departure): boolean {
    if (departure.over) return false;
    try {
      connection.publish(departure.subject, departure.body, departure);
      departure.unload();
      return true;
    } catch (error) {
      // It checks before it writes: the subject has white space, or the server takes less than it did when the call was made.
      departure.fail(new MessageProblem('broker-error', errorText(error), { outcome: 'not-sent' }));
      return false;
    }
  }

  #ask(): void {
    const wave = this.#open;
    this.#open = { bytes: 0, waiting: [], dueMs: NEVER };
    this.#asked.push(wave);
    this.#connection?.flush().then(
      // What the server refused of it was said before the PONG, but reaches us by an iterator, some promises later.
      () => setImmediate(this.#answered, wave),
      // The link is lost: `stop` tells it.
      () => {},
    );
  }

  readonly #answered = (wave: Wave): void => {
    if (this.#asked[0] !== wave) return;
    this.#asked.shift();
    this.#bytes -= wave.bytes;
    for (const departure of wave.waiting) departure.taken();
  };
}

function sweepWave(wave: Wave, nowMs: number): void {
  const late = wave.waiting.filter(({ dueMs }) => dueMs <= nowMs);
  wave.waiting = wave.waiting.filter(({ dueMs }) => dueMs > nowMs);
  wave.dueMs = wave.waiting.reduce((earliest, { dueMs }) => Math.min(earliest, dueMs), NEVER);
  for (const departure of late) departure.late();
}
