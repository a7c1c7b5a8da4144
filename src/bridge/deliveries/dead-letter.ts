import type { Msg } from '@nats-io/transport-node';
import { type Field, HOPS } from '../headers.ts';
import type { Delivered } from '../delivered.ts';
import type { OutgoingMessage, Stored } from '../link.ts';
import type { MessageProblem } from '../problem.ts';
import type { DeliveryParts } from './delivery.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { headerText, messageBlock } from './message-block.ts';
import { headersOf } from './request.ts';

/** What is told of a message with its dead letter. */
export interface DeadLetter {
  /** Id of the subscription. */
  readonly subscription: string;
  readonly message: Msg;
  readonly delivered: Delivered;
  readonly attempts: number;
  /** Of the last reply; 0: none came. */
  readonly status: number;
  readonly reason: string;
}

const PREFIX = 'heddle-dead-letter-';
const STORE_MS = 10_000;

/** @param done is given the problem, if it was not stored. */
export type StoreDone = (problem: MessageProblem | undefined) => void;

/**
 * Stores a dead letter, once: its id makes a second copy a duplicate, within the window in which the stream knows ids. A stream that
 * was deleted and made anew counts from 1 again, so that one of another message may have the id: then it has its time with it.
 */
export function storeDeadLetter(
  { link, api }: Pick<DeliveryParts, 'link' | 'api'>,
  subject: string,
  letter: DeadLetter,
  done: StoreDone,
): void {
  const { stream, consumer, sequence, storedMs } = letter.delivered;
  const id = `dlq:${stream}:${consumer}:${sequence}`;
  const outgoing = (withId: string): OutgoingMessage => ({
    subject,
    headers: deadLetterHeaders(letter, withId),
    body: letter.message.data,
  });
  const settleDuplicate = async (stored: Stored): Promise<void> => {
    if (await isSame(api, stored, storedMs)) done(undefined);
    else link.store(outgoing(`${id}:${storedMs}`), STORE_MS, done);
  };
  link.store(outgoing(id), STORE_MS, (problem, stored) => {
    if (stored?.duplicate === true) void settleDuplicate(stored);
    else done(problem);
  });
}

/** Whether what is stored is of the same message. Whoever cannot look has rather two dead letters than none. */
async function isSame(api: JetStreamApi, { stream, sequence }: Stored, storedMs: number): Promise<boolean> {
  const lines = await api.headersOf(stream, sequence).catch(() => '');
  return lines.includes(`\r\n${PREFIX}first: ${new Date(storedMs).toISOString()}\r\n`);
}

/** The headers of a dead letter: those of the message, but none that speak to the server, and what happened to it. */
function deadLetterHeaders(letter: DeadLetter, id: string): Buffer | undefined {
  const { subscription, message, delivered, attempts, status, reason } = letter;
  const { stream, sequence, storedMs } = delivered;
  const fields = original(message);
  const hops = fields.find(([name]) => name.toLowerCase() === HOPS)?.[1];
  const own: readonly Field[] = [
    ['Nats-Msg-Id', id],
    [HOPS, String((Number(hops) || 0) + 1)],
    [`${PREFIX}subscription`, headerText(subscription)],
    [`${PREFIX}subject`, headerText(message.subject)],
    [`${PREFIX}stream`, headerText(stream)],
    [`${PREFIX}sequence`, String(sequence)],
    [`${PREFIX}attempts`, String(attempts)],
    [`${PREFIX}status`, String(status)],
    [`${PREFIX}reason`, headerText(reason)],
    [`${PREFIX}first`, new Date(storedMs).toISOString()],
    [`${PREFIX}last`, new Date().toISOString()],
  ];
  return messageBlock(
    own,
    fields.filter(([name]) => staysWith(name.toLowerCase())),
  );
}

/** What cannot be read is left out: the body is what matters. */
function original(message: Msg): readonly Field[] {
  const headers = headersOf(message);
  if (headers === undefined || headers instanceof Error) return [];
  return headers.keys().flatMap((name) => headers.values(name).map((value) => [name, value] as const));
}

/** Those that speak to the server would steer it where the dead letter is stored (bridge.md section 6). */
function staysWith(lower: string): boolean {
  return !lower.startsWith('nats-') && lower !== 'kv-operation' && lower !== HOPS && !lower.startsWith(PREFIX);
}
