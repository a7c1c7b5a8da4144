import type { Msg } from '@nats-io/transport-node';
import type { MessageProblem } from '../../problem.ts';
import { eventText } from '../sse.ts';

/** How what is followed is shown. One object for each kind: subscribers of one kind share. */
export interface EventKind {
  /** Tells kinds apart. */
  readonly name: string;
  /** Name and data of the event for a message. */
  encode(message: Msg, sequence: number, storedMs: number): { readonly name: string; readonly json: string };
  /** In the words of those who asked. */
  explain(problem: MessageProblem): MessageProblem;
  /** After what there was at the beginning an event `ready` follows. */
  readonly marksReady: boolean;
}

/** What is followed: a stream, or the part of it that a filter matches. */
export interface Source {
  readonly stream: string;
  /** Undefined: all of it. */
  readonly filter: string | undefined;
  readonly kind: EventKind;
}

/** The id of an event: the life of the stream, and the sequence in it. */
export interface EventId {
  readonly epoch: string;
  readonly sequence: number;
}

const ID = /^([0-9a-z]{1,16}):(\d{1,15})$/;

/** Undefined: it is none of ours. */
export function readId(text: string): EventId | undefined {
  const [, epoch, sequence] = ID.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, sequence: Number(sequence) };
}

export function idText({ epoch, sequence }: EventId): string {
  return `${epoch}:${sequence}`;
}

export function messageEvent(
  { kind }: Source,
  epoch: string,
  message: Msg,
  sequence: number,
  storedMs: number,
): string {
  const { name, json } = kind.encode(message, sequence, storedMs);
  return eventText(name, idText({ epoch, sequence }), json);
}

/** Messages between the last event and the next are not there any more. With a filter, they may have been others. */
export function gapEvent(epoch: string, from: number, to: number): string {
  const json = JSON.stringify({ from, to, reason: 'The stream does not have these any more' });
  return eventText('gap', idText({ epoch, sequence: to }), json);
}

/** The stream is another one than that of the last event: it begins anew. */
export function resetEvent(epoch: string): string {
  const json = JSON.stringify({ epoch, reason: 'The stream is not the one of the last event' });
  return eventText('reset', idText({ epoch, sequence: 0 }), json);
}

export function readyEvent(): string {
  return eventText('ready', undefined, '{}');
}
