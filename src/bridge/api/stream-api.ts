import { jsonObject } from '../json-object.ts';
import type { Link } from '../link.ts';
import { MessageProblem } from '../problem.ts';

/** What the server is asked about its streams: small JSON requests, whose answers may be anything. */

/** An answer comes within so many milliseconds, or a problem does. */
export const QUESTION_MS = 3000;
/** JetStream API errors: stream not found, message not found. */
const STREAM_NOT_FOUND = 10_059;
const MESSAGE_NOT_FOUND = 10_037;

const NO_OBJECT = { error: { description: 'an answer that is no JSON object' } };

export type Answer = (problem: MessageProblem | undefined, answer: Readonly<Record<string, unknown>>) => void;

/** A message as a stream has it. */
export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  /** RFC 3339. */
  readonly time: string;
  readonly headers: readonly (readonly [name: string, values: readonly string[]])[];
  readonly body: Buffer;
}

/** @param operation of the JetStream API, as `STREAM.INFO.ORDERS`. `answer` may get a problem whose outcome is that of a question: nothing. */
export function askStreams(link: Link, operation: string, question: object, answer: Answer): void {
  const body = Buffer.from(JSON.stringify(question));
  link.request({ subject: `$JS.API.${operation}`, headers: undefined, body }, QUESTION_MS, (problem, reply) => {
    if (problem !== undefined) {
      answer(unsent(problem, link), {});
      return;
    }
    const members = jsonObject(reply!.data) ?? NO_OBJECT;
    answer(errorOf(members), members);
  });
}

/** One message. @param which by sequence (or the next of a subject from it on), or the last of a subject. */
export function askMessage(
  link: Link,
  stream: string,
  which: { readonly seq: number; readonly next_by_subj?: string } | { readonly last_by_subj: string },
  answer: (problem: MessageProblem | undefined, message: StoredMessage | undefined) => void,
): void {
  askStreams(link, `STREAM.MSG.GET.${stream}`, which, (problem, { message }) => {
    if (problem !== undefined) {
      answer(problem, undefined);
      return;
    }
    const { subject, seq, time, hdrs, data } = (message ?? {}) as Readonly<Record<string, unknown>>;
    answer(undefined, {
      subject: String(subject),
      sequence: Number(seq),
      time: String(time),
      headers: typeof hdrs === 'string' ? headersIn(Buffer.from(hdrs, 'base64').toString()) : [],
      body: typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.alloc(0),
    });
  });
}

/** Lines of a header block, by name. */
function headersIn(block: string): readonly (readonly [string, readonly string[]])[] {
  return block
    .split('\r\n')
    .slice(1)
    .flatMap((text) => {
      const colon = text.indexOf(':');
      return colon <= 0 ? [] : [[text.slice(0, colon), [text.slice(colon + 1).trim()]] as const];
    });
}

function errorOf({ error }: Readonly<Record<string, unknown>>): MessageProblem | undefined {
  if (error === undefined) return undefined;
  const { err_code: code, description } = (error ?? {}) as {
    readonly err_code?: number;
    readonly description?: string;
  };
  if (code === STREAM_NOT_FOUND)
    return new MessageProblem('no-stream', 'Expected the name of a stream, got one that there is not');
  if (code === MESSAGE_NOT_FOUND)
    return new MessageProblem('no-message', 'Expected the sequence of a message of the stream, got another one');
  const detail = `Expected an answer of JetStream, got an error: ${String(description).slice(0, 200)}`;
  return new MessageProblem('broker-error', detail, {
    outcome: 'not-sent',
    ...(typeof code === 'number' ? { err_code: code } : {}),
  });
}

/** What became of a question does not matter to whoever wanted a message to be sent. */
function unsent({ code, detail, members }: MessageProblem, link: Link): MessageProblem {
  // As where servers elect, start or end.
  if (code === 'no-responders' && link.report.server?.jetStream === true)
    return new MessageProblem('no-broker', 'Expected JetStream to answer, got nothing');
  if (code === 'no-responders')
    return new MessageProblem('no-stream', 'Expected a server with JetStream, got one without, or an account without');
  return new MessageProblem(code, detail, { ...members, outcome: 'not-sent' });
}
