const LENGTH_MAX = 1024 * 1024;

/** One event of a stream of them. */
export interface ServerEvent {
  /** `message` where it has no other. */
  readonly type: string;
  readonly data: string;
  /** Where to go on from: that of the last event that had one; empty before. */
  readonly id: string;
}

/** Reads text/event-stream (WHATWG HTML, 9.2) as it comes in pieces. Throws a RangeError for an event without end. */
export class EventReader {
  /** After how long to come again, if the server has said it. */
  retryMs: number | undefined = undefined;
  readonly #lengthMax: number;
  #id = '';
  #rest = '';
  #type = '';
  #data: string[] = [];
  #length = 0;

  /** @param lengthMax of one event, in characters */
  constructor(lengthMax = LENGTH_MAX) {
    this.#lengthMax = lengthMax;
  }

  /** @returns the events that this piece completes */
  *read(piece: string): Generator<ServerEvent> {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') yield* this.#end();
      else this.#field(line);
    }
    if (this.#length + this.#rest.length > this.#lengthMax) {
      throw new RangeError(`events of at most ${this.#lengthMax} characters, got more`);
    }
  }

  #field(line: string): void {
    this.#length += line.length;
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#type = value;
    else if (name === 'id') this.#id = value;
    else if (name === 'retry' && /^\d{1,6}$/.test(value)) this.retryMs = Number(value);
  }

  *#end(): Generator<ServerEvent> {
    const event = { type: this.#type === '' ? 'message' : this.#type, data: this.#data.join('\n'), id: this.#id };
    const hasData = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    this.#length = 0;
    if (hasData) yield event;
  }
}
