const LINE_LENGTH_MAX = 1024 * 1024;

/** One event of a stream of them. */
export interface ServerEvent {
  /** `message` where it has no other. */
  readonly type: string;
  readonly data: string;
}

/** Reads text/event-stream (WHATWG HTML, 9.2) as it comes in pieces. Throws a RangeError for an event without end. */
export class EventReader {
  #rest = '';
  #type = '';
  #data: string[] = [];
  #length = 0;

  /** @returns the events that this piece completes */
  *read(piece: string): Generator<ServerEvent> {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') yield* this.#end();
      else this.#field(line);
    }
    if (this.#length + this.#rest.length > LINE_LENGTH_MAX) {
      throw new RangeError(`events of at most ${LINE_LENGTH_MAX} characters, got more`);
    }
  }

  #field(line: string): void {
    this.#length += line.length;
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#type = value;
  }

  *#end(): Generator<ServerEvent> {
    const event = { type: this.#type === '' ? 'message' : this.#type, data: this.#data.join('\n') };
    const hasData = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    this.#length = 0;
    if (hasData) yield event;
  }
}
