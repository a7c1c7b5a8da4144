import { NANOSECONDS_PER_MS } from '../lib/duration.ts';

/** What stands in the reply subject of a message that a consumer delivered (ADR-15): whom it is acknowledged to, and what it is. */
export interface Delivered {
  readonly stream: string;
  readonly consumer: string;
  /** How often the consumer has delivered it, this time included. Also counts what was given back without an attempt. */
  readonly count: number;
  readonly sequence: number;
  /** Counts what this consumer has delivered. */
  readonly consumerSequence: number;
  /** When the stream took it: milliseconds since 1970. */
  readonly storedMs: number;
  /** What the consumer has not delivered yet. */
  readonly pending: number;
}

const TOKENS = 9;
/** With the domain and the hash of the account behind `$JS.ACK`. */
const TOKENS_WITH_DOMAIN = 11;

/** Undefined: the subject is none of a consumer. */
export function readDelivered(reply: string): Delivered | undefined {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < TOKENS) return undefined;
  const first = tokens.length >= TOKENS_WITH_DOMAIN ? 4 : 2;
  const [count, sequence, consumerSequence, storedNs, pending] = tokens.slice(first + 2, first + 7).map(Number);
  if (!(count! > 0 && sequence! > 0 && consumerSequence! > 0 && storedNs! >= 0 && pending! >= 0)) return undefined;
  return {
    stream: tokens[first]!,
    consumer: tokens[first + 1]!,
    count: count!,
    sequence: sequence!,
    consumerSequence: consumerSequence!,
    storedMs: storedNs! / NANOSECONDS_PER_MS,
    pending: pending!,
  };
}

// What the consumer is told of it, at its reply subject.

/** It is done. */
export const ACKNOWLEDGED: Buffer = Buffer.from('+ACK');
/** It takes longer: `ack_wait` begins anew. */
export const WORKING: Buffer = Buffer.from('+WPI');

const REASON_CHARS_MAX = 100;

/** Deliver it again; after so long, or at once for 0. */
export function notAcknowledged(delayMs: number): Buffer {
  if (delayMs <= 0) return Buffer.from('-NAK');
  return Buffer.from(`-NAK {"delay": ${Math.ceil(delayMs) * NANOSECONDS_PER_MS}}`);
}

/** Never deliver it again. @param reason goes into the server's advisory; empty: none. */
export function terminated(reason: string): Buffer {
  return Buffer.from(`+TERM ${reason.slice(0, REASON_CHARS_MAX)}`.trimEnd());
}
