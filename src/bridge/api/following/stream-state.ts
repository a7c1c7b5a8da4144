import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import { askStreams } from '../stream-api.ts';

/** What is asked about a stream whenever somebody begins to follow it. */
export interface StreamState {
  /** Of this life of the stream: one that was deleted and made again counts from 1 again. */
  readonly epoch: string;
  /** Sequences of what it has; first = last + 1: nothing. */
  readonly first: number;
  readonly last: number;
}

type Give = (state: StreamState | MessageProblem) => void;

const asking = new WeakMap<Link, Map<string, Give[]>>();

/** Asks once for all who want to know it at the same time: after a lost link that is everybody. */
export function askState(link: Link, stream: string, give: Give): void {
  const questions = asking.get(link) ?? new Map<string, Give[]>();
  asking.set(link, questions);
  const others = questions.get(stream);
  if (others !== undefined) {
    others.push(give);
    return;
  }
  const all = [give];
  questions.set(stream, all);
  askStreams(link, `STREAM.INFO.${stream}`, {}, (problem, answer) => {
    questions.delete(stream);
    const state = problem ?? stateIn(answer);
    for (const one of all) one(state);
  });
}

function stateIn({ created, state }: Readonly<Record<string, unknown>>): StreamState | MessageProblem {
  const { first_seq: first, last_seq: last } = (state ?? {}) as {
    readonly first_seq?: unknown;
    readonly last_seq?: unknown;
  };
  const createdMs = Date.parse(String(created));
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || Number.isNaN(createdMs))
    return new MessageProblem(
      'broker-error',
      'Expected when the stream was created and its sequences, got something else',
      {
        outcome: 'not-sent',
      },
    );
  // Of a stream that has had nothing it is 0.
  return { epoch: createdMs.toString(36), first: Math.max(1, first as number), last: last as number };
}
