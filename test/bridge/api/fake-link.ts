import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { Link, OutgoingMessage, Settle, Stored } from '../../../src/bridge/link.ts';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import type { LinkReport } from '../../../src/model/message.ts';

export interface Sent {
  readonly how: 'none' | 'server' | 'stream' | 'request' | 'many';
  readonly subject: string;
  /** Lines of the header block. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly timeoutMs: number;
}

type Answer<T> = MessageProblem | T | 'never';

/** A link that notes what it is given and answers what a test says, one turn later. */
export class FakeLink implements Link {
  up = true;
  connection: NatsConnection | undefined = undefined;
  maxPayload = 1024;
  serverVersion = '2.15.0';
  readonly sent: Sent[] = [];
  /** Ended by their callers. */
  cancelled = 0;
  onPublish: (message: Sent) => Answer<undefined> = () => undefined;
  onStore: (message: Sent) => Answer<Stored> = () => ({ stream: 'ORDERS', sequence: 7, duplicate: false });
  onRequest: (message: Sent) => Answer<Msg> = () => messageOf('pong');
  /** Replies, then how it ends. */
  onMany: (message: Sent) => { readonly replies: readonly Msg[]; readonly end: Answer<undefined> } = () => ({
    replies: [],
    end: undefined,
  });
  refuses: MessageProblem | undefined = undefined;

  get report(): LinkReport {
    return {
      state: this.up ? 'up' : 'lost',
      server: undefined,
      error: this.up ? '' : 'the server went away',
      reconnects: 0,
      bytesInFlight: 0,
      messagesOut: 0,
      messagesIn: 0,
    };
  }

  /** Without the questions that the bridge asks for itself. */
  get messages(): readonly Sent[] {
    return this.sent.filter(({ subject }) => !subject.startsWith('$JS.'));
  }

  serverIsAtLeast(major: number, minor: number): boolean {
    const [ownMajor = 0, ownMinor = 0] = this.serverVersion.split('.').map(Number);
    return ownMajor > major || (ownMajor === major && ownMinor >= minor);
  }

  refusal(): MessageProblem | undefined {
    return this.refuses;
  }

  publish(message: OutgoingMessage, ack: 'none' | 'server', timeoutMs: number, settle: Settle<undefined>): void {
    answerWith(this.onPublish(this.#note(ack, message, timeoutMs)), settle);
  }

  store(message: OutgoingMessage, timeoutMs: number, settle: Settle<Stored>): () => void {
    return this.#cancellable(answerWith(this.onStore(this.#note('stream', message, timeoutMs)), settle));
  }

  request(message: OutgoingMessage, timeoutMs: number, settle: Settle<Msg>): () => void {
    return this.#cancellable(answerWith(this.onRequest(this.#note('request', message, timeoutMs)), settle));
  }

  requestMany(
    message: OutgoingMessage,
    until: { readonly timeoutMs: number },
    onReply: (reply: Msg) => void,
    settle: Settle<undefined>,
  ): () => void {
    const { replies, end } = this.onMany(this.#note('many', message, until.timeoutMs));
    setImmediate(() => {
      for (const reply of replies) onReply(reply);
    });
    return this.#cancellable(answerWith(end, settle));
  }

  newInbox(): string {
    return '_INBOX.test';
  }

  subscribe(): () => void {
    throw new Error('Expected no subscription, got one');
  }

  onChange(): () => void {
    return () => {};
  }

  #note(how: Sent['how'], { subject, headers, body }: OutgoingMessage, timeoutMs: number): Sent {
    const lines = headers?.toString('latin1').split('\r\n') ?? [];
    const sent = {
      how,
      subject,
      headers: lines.slice(1).filter((line) => line !== ''),
      body: Buffer.from(body).toString(),
      timeoutMs,
    };
    this.sent.push(sent);
    return sent;
  }

  #cancellable(cancel: () => void): () => void {
    return () => {
      this.cancelled++;
      cancel();
    };
  }
}

function answerWith<T>(answer: Answer<T>, settle: Settle<T>): () => void {
  if (answer === 'never') return () => {};
  const turn = setImmediate(() => {
    if (answer instanceof MessageProblem) settle(answer, undefined);
    else settle(undefined, answer);
  });
  return () => clearImmediate(turn);
}

/** A message as the client library gives it. */
export function messageOf(data: string | Buffer, headers: readonly (readonly [string, string])[] = []): Msg {
  const lists = headers.map(([name, value]) => [name, [value]] as const);
  return {
    subject: '_INBOX.x',
    data: new Uint8Array(Buffer.from(data)),
    headers: lists.length === 0 ? undefined : lists,
  } as unknown as Msg;
}

/** What JetStream says to a question. */
export function answerOf(value: object): Msg {
  return messageOf(JSON.stringify(value));
}
