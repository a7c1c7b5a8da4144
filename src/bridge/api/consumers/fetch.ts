import type { Msg } from '@nats-io/transport-node';
import { NANOSECONDS_PER_MS } from '../../../lib/duration.ts';
import { type Delivered, notAcknowledged, readDelivered } from '../../delivered.ts';
import type { Cancel, Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';

/** Of one fetch, unless a single message may have more. */
const BYTES_MIN = 4 * 1024 * 1024;
/** Of subject and reply, which the server counts to the bytes of a message. */
const SUBJECTS_BYTES = 4096;
/** The server tells of the end of a wait itself: nothing came of it. */
const SLACK_MS = 3000;
/** What all fetches of this thread hold. */
const HELD_MAX = 128 * 1024 * 1024;
const FETCHES_MAX = 1024;

let held = 0;
let fetches = 0;

export interface FetchedMessage {
  readonly message: Msg;
  readonly delivered: Delivered;
}

export interface FetchOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly batch: number;
  /** For the first one; 0: not at all. */
  readonly waitMs: number;
}

type Give = (problem: MessageProblem | undefined, messages: readonly FetchedMessage[]) => void;

/** Why no fetch can begin now. */
export function fetchRefusal(): MessageProblem | undefined {
  if (fetches < FETCHES_MAX && held < HELD_MAX) return undefined;
  return new MessageProblem('busy', `Expected at most ${FETCHES_MAX} fetches of ${HELD_MAX} bytes at a time, got more`);
}

/**
 * One fetch: what the consumer has at once, up to a batch. If it has nothing, the first message that comes; more of them would have
 * to be waited for, or be given back.
 */
export class Fetch {
  readonly #link: Link;
  readonly #options: FetchOptions;
  readonly #give: Give;
  readonly #inbox: string;
  readonly #cancels: readonly Cancel[];
  readonly #messages: FetchedMessage[] = [];
  #bytes = 0;
  #pulls = 0;
  #left = 0;
  #timer: NodeJS.Timeout | undefined = undefined;
  #over = false;

  constructor(link: Link, options: FetchOptions, give: Give) {
    this.#link = link;
    this.#options = options;
    this.#give = give;
    this.#inbox = link.newInbox();
    fetches++;
    this.#cancels = [
      link.subscribe(
        `${this.#inbox}.*`,
        undefined,
        (message) => {
          this.#take(message);
        },
        () => {},
      ),
      link.onChange(() => {
        if (!link.up)
          this.#end(new MessageProblem('link-lost', 'The connection to the NATS server broke before it answered'));
      }),
    ];
    const bytes = Math.max(BYTES_MIN, link.maxPayload + SUBJECTS_BYTES);
    this.#pull({ batch: options.batch, no_wait: true, max_bytes: bytes }, 0);
  }

  /** Nobody wants them any more: gives back what has come. */
  cancel(): void {
    if (this.#over) return;
    this.#close();
    for (const { message } of this.#messages) this.#link.connection?.publish(message.reply!, notAcknowledged(0));
  }

  #pull(question: { readonly batch: number; readonly [option: string]: unknown }, waitMs: number): void {
    const { stream, consumer } = this.#options;
    this.#pulls++;
    this.#left = question.batch;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#end(new MessageProblem('timeout', `Expected an answer to a pull within ${waitMs + SLACK_MS} ms, got none`));
    }, waitMs + SLACK_MS);
    this.#link.connection?.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(question), {
      reply: `${this.#inbox}.${this.#pulls}`,
    });
  }

  #take(message: Msg): void {
    if (this.#over) return;
    const delivered = message.reply === undefined ? undefined : readDelivered(message.reply);
    if (delivered === undefined) {
      this.#obey(message);
      return;
    }
    this.#messages.push({ message, delivered });
    this.#bytes += message.data.length;
    held += message.data.length;
    if (--this.#left <= 0) this.#end(undefined);
  }

  /** What the server says of a pull (ADR-13). */
  #obey({ subject, headers }: Msg): void {
    if (subject !== `${this.#inbox}.${this.#pulls}`) return;
    const { code, description } = headers ?? { code: 0, description: 'an empty message' };
    const nothing = code === 404 || code === 408 || (code === 409 && /bytes|maxackpending/i.test(description));
    const { waitMs } = this.#options;
    if (!nothing) this.#end(refusal(code, description));
    else if (this.#messages.length > 0 || this.#pulls > 1 || waitMs === 0) this.#end(undefined);
    else this.#pull({ batch: 1, expires: waitMs * NANOSECONDS_PER_MS }, waitMs);
  }

  /** What has come is given, whatever happened then. */
  #end(problem: MessageProblem | undefined): void {
    if (this.#over) return;
    this.#close();
    this.#give(this.#messages.length > 0 ? undefined : problem, this.#messages);
  }

  #close(): void {
    this.#over = true;
    fetches--;
    held -= this.#bytes;
    clearTimeout(this.#timer);
    for (const cancel of this.#cancels) cancel();
  }
}

function refusal(code: number, description: string): MessageProblem {
  if (code === 503 || /deleted/i.test(description))
    return new MessageProblem('no-consumer', 'Expected a consumer that stays, got one that was deleted');
  if (/exceeded/i.test(description))
    return new MessageProblem('busy', `The consumer takes no more pulls: ${description.slice(0, 100)}`);
  return new MessageProblem('broker-error', `Expected messages or none, got: ${description.slice(0, 100)}`);
}
