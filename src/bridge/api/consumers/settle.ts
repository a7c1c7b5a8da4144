import { parseDuration } from '../../../lib/duration.ts';
import { shown } from '../../../lib/shown.ts';
import { ACKNOWLEDGED, notAcknowledged, readDelivered, terminated, WORKING } from '../../delivered.ts';
import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import type { Tokens } from '../tokens.ts';
import { type AckTerms, expiryMs } from './ack-terms.ts';

const ASK_MS = 5000;
const DELAY_MAX_MS = 24 * 3_600_000;

export const OPERATIONS = ['ack', 'nak', 'term', 'working'] as const;

type Operation = (typeof OPERATIONS)[number];

/** What a caller says of one message. */
interface Settlement {
  readonly token: string;
  readonly operation: Operation;
  readonly delayMs: number;
}

export interface SettleOptions {
  readonly link: Link;
  readonly tokens: Tokens;
  readonly stream: string;
  readonly consumer: string;
  readonly terms: AckTerms;
  /** Of the caller. */
  readonly identity: string;
}

/** What became of one: a new token, where `working` asked for it. */
export type Told = (problem: MessageProblem | undefined, token: string | undefined) => void;

/** Settles one message. The server is asked to confirm it, so that what is told is true (a double acknowledgement). */
export function settleOne(item: unknown, options: SettleOptions, told: Told): void {
  const settlement = settlementOf(item);
  if (settlement instanceof MessageProblem) {
    told(settlement, undefined);
    return;
  }
  const { link, tokens, stream, consumer, terms, identity } = options;
  const nowMs = Date.now();
  const ticket = tokens.verify(identity, settlement.token, nowMs);
  const delivered = ticket instanceof MessageProblem ? undefined : readDelivered(ticket.ackSubject);
  if (ticket instanceof MessageProblem) {
    told(ticket, undefined);
    return;
  }
  if (delivered?.stream !== stream || delivered.consumer !== consumer) {
    told(
      new MessageProblem('invalid-token', 'Expected a token of a message of this consumer, got one of another'),
      undefined,
    );
    return;
  }
  const { ackSubject } = ticket;
  const { operation, delayMs } = settlement;
  link.request({ subject: ackSubject, headers: undefined, body: BODY_OF[operation](delayMs) }, ASK_MS, (problem) => {
    if (problem !== undefined) told(explained(problem), undefined);
    else if (operation !== 'working') told(undefined, undefined);
    else told(undefined, tokens.sign(identity, { ackSubject, expiresMs: expiryMs(terms, delivered.count, nowMs) }));
  });
}

function settlementOf(item: unknown): Settlement | MessageProblem {
  if (typeof item !== 'object' || item === null) return invalid(`an object with token and op, got ${shown(item)}`);
  const { token, op, delay } = item as Readonly<Record<string, unknown>>;
  const operation = OPERATIONS.find((known) => known === (op ?? 'ack'));
  if (typeof token !== 'string') return invalid(`token to be a text, got ${shown(token)}`);
  if (operation === undefined) return invalid(`op to be ${OPERATIONS.join(', ')}, got ${shown(op)}`);
  if (delay === undefined) return { token, operation, delayMs: 0 };
  const delayMs = typeof delay === 'string' ? parseDuration(delay) : undefined;
  if (operation !== 'nak') return invalid(`delay only with nak, got it with ${operation}`);
  if (delayMs === undefined || delayMs > DELAY_MAX_MS)
    return invalid(`delay to be a time up to 24h as 30s, got ${shown(delay)}`);
  return { token, operation, delayMs };
}

function invalid(expectation: string): MessageProblem {
  return new MessageProblem('invalid-body', `Expected ${expectation}`);
}

const BODY_OF: Readonly<Record<Operation, (delayMs: number) => Buffer>> = {
  ack: () => ACKNOWLEDGED,
  nak: notAcknowledged,
  term: () => terminated(''),
  working: () => WORKING,
};

function explained(problem: MessageProblem): MessageProblem {
  if (problem.code !== 'no-responders') return problem;
  return new MessageProblem('no-consumer', 'Expected a consumer that stays, got one that was deleted');
}
