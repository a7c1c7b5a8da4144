import http from 'node:http';

/** What an event `gap` says: how many were dropped (live), or which sequences are gone (stream). */
export interface Gap {
  readonly dropped?: number;
  readonly from?: number;
  readonly to?: number;
  readonly reason?: string;
}

export interface ReaderOptions {
  /** Where it comes from. */
  readonly localAddress?: string;
  /** With which it resumes. */
  readonly lastId?: string;
}

const LF = 10;

/**
 * A client of events that can stop to read. Messages are numbered by their publisher: `7:` and whatever follows. It looks only at
 * what it needs, because 500 of them read gigabytes.
 */
export class EventReader {
  /** How often each event came. */
  readonly names = new Map<string, number>();
  readonly gaps: Gap[] = [];
  /** Of its messages. */
  readonly numbers: number[] = [];
  lastId = '';
  over = false;
  readonly #request: http.ClientRequest;
  readonly #response: http.IncomingMessage;
  #name = '';
  /** The beginning of a line whose end has not come. */
  #begun = '';

  private constructor(request: http.ClientRequest, response: http.IncomingMessage) {
    this.#request = request;
    this.#response = response;
    response.on('data', (bytes: Buffer) => {
      this.#take(bytes);
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.over = true;
    });
  }

  /** Resolves when it follows. */
  static async start(port: number, target: string, { localAddress, lastId }: ReaderOptions = {}): Promise<EventReader> {
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
    const from = localAddress === undefined ? {} : { localAddress };
    const request = http.get({ host: '127.0.0.1', port, path: target, headers, agent: false, ...from });
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
    });
    request.on('error', () => {});
    if (response.statusCode !== 200) {
      request.destroy();
      throw new Error(`Expected 200 for ${target}, got ${response.statusCode}`);
    }
    return new EventReader(request, response);
  }

  get messages(): number {
    return this.names.get('message') ?? 0;
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  stop(): void {
    this.#request.destroy();
  }

  #take(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      this.#line(this.#begin(bytes, start, end));
      this.#begun = '';
      start = end + 1;
    }
    this.#begun = this.#begin(bytes, start, bytes.length);
  }

  /** Only as much of a line as anybody looks at. */
  #begin(bytes: Buffer, start: number, end: number): string {
    const room = LINE_SHOWN - this.#begun.length;
    return room <= 0 ? this.#begun : this.#begun + bytes.toString('latin1', start, Math.min(end, start + room));
  }

  #line(line: string): void {
    if (line.startsWith('event: ')) this.#name = line.slice(7);
    else if (line.startsWith('id: ')) this.lastId = line.slice(4);
    else if (line.startsWith('data: ')) {
      const name = this.#name === '' ? 'message' : this.#name;
      this.#name = '';
      this.names.set(name, (this.names.get(name) ?? 0) + 1);
      if (name === 'gap') this.gaps.push(JSON.parse(line.slice(6)) as Gap);
      const number = /"data":"(\d+):/.exec(line)?.[1];
      if (number !== undefined) this.numbers.push(Number(number));
    }
  }
}

const LINE_SHOWN = 512;
