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
const NANOSECONDS_PER_MS = 1_000_000;

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
