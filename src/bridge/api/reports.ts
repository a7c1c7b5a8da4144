import { soon } from '../call-out.ts';
import type { Stored } from '../link.ts';
import { type MessageProblem, PROBLEMS } from '../problem.ts';
import type { Call } from './call.ts';
import { NDJSON_TYPE } from './media-types.ts';
import type { Ack } from './publish-options.ts';

/**
 * Reports that wait for the one of an earlier record, or for the end of this turn; and those that a client does not take while it
 * still sends. Beyond it nothing more is read of the client.
 */
const WAITING_CHARS_MAX = 4 * 1024 * 1024;
const UNTAKEN_CHARS_MAX = 64 * 1024;
const STATUS_TAKEN = 202;

/** The reports of a bulk, one line of JSON for each record, in the order of the records. */
export class Reports {
  readonly #call: Call;
  readonly #taken: string;
  /** Lines that are known, by number; they leave when all before them are known. */
  readonly #lines = new Map<number, string>();
  #next = 0;
  #text = '';
  /** Of these lines and this text. */
  #waitingChars = 0;
  readonly #onRoom: () => void;
  #due = false;
  #writable = true;
  #began = false;
  #ended = false;

  /** @param onRoom it may not be full any more. */
  constructor(call: Call, ack: Ack, onRoom: () => void) {
    this.#call = call;
    this.#onRoom = onRoom;
    this.#taken = `{"status":${STATUS_TAKEN},"ack":"${ack}"}\n`;
  }

  /** The answer begins, before there is a report: for those who wait for it with their first record. */
  begin(): void {
    if (this.#began) return;
    this.#began = true;
    this.#call.stream(200, [
      ['content-type', NDJSON_TYPE],
      ['cache-control', 'no-store'],
    ]);
  }

  get isFull(): boolean {
    return this.#waitingChars > (this.#writable ? WAITING_CHARS_MAX : UNTAKEN_CHARS_MAX);
  }

  add(index: number, problem: MessageProblem | undefined, stored: Stored | undefined): void {
    const line = problem === undefined ? this.#lineOf(stored) : problemLine(problem);
    this.#waitingChars += line.length;
    if (index === this.#next) {
      this.#text += line;
      this.#next++;
      this.#catchUp();
    } else this.#lines.set(index, line);
    // What comes in one turn leaves in one piece.
    if (this.#due) return;
    this.#due = true;
    soon(() => {
      this.#due = false;
      this.#flush();
    });
  }

  /** All reports are in: the answer ends with them. */
  end(): void {
    this.#ended = true;
    this.#flush();
  }

  /** The client takes more again. */
  goOn(): void {
    this.#writable = true;
    this.#flush();
  }

  #flush(): void {
    this.begin();
    if (this.#text !== '' && this.#writable) {
      this.#writable = this.#call.write(Buffer.from(this.#text));
      this.#waitingChars -= this.#text.length;
      this.#text = '';
    }
    if (!this.#ended) this.#onRoom();
    else if (this.#text === '') this.#call.finish();
  }

  #catchUp(): void {
    if (this.#lines.size === 0) return;
    for (let line = this.#lines.get(this.#next); line !== undefined; line = this.#lines.get(this.#next)) {
      this.#lines.delete(this.#next++);
      this.#text += line;
    }
  }

  #lineOf(stored: Stored | undefined): string {
    if (stored === undefined) return this.#taken;
    const { stream, sequence, duplicate } = stored;
    const status = duplicate ? 200 : 201;
    return `${JSON.stringify({ status, stream, sequence, ...(duplicate ? { duplicate } : {}) })}\n`;
  }
}

/** The members of a problem document that tell one record from the next. */
function problemLine({ code, detail, outcome, members }: MessageProblem): string {
  const { status, retryable } = PROBLEMS[code];
  return `${JSON.stringify({ status, code, detail, outcome, retryable, ...members })}\n`;
}
