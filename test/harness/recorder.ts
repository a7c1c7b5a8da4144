import { eventually } from './client.ts';
import { parseRequest, parseRequests, type Request } from './message.ts';
import { Upstream, type UpstreamConnection } from './upstream.ts';

export type Respond = (request: Request, connection: UpstreamConnection, index: number) => void;

/** What one connection carried, judged. */
export interface Recording {
  readonly requests: readonly Request[];
  /** Bytes after the last message that cannot be told apart yet. */
  readonly rest: string;
  readonly raw: string;
  readonly closed: boolean;
}

/** One connection and how much of it was answered. */
interface Listening {
  readonly connection: UpstreamConnection;
  /** Where the next request begins in `connection.received`. */
  from: number;
  answered: number;
  /** Which request got its 100. */
  continued: number;
}

/**
 * The upstream that trusts nobody: it answers each complete request and keeps every byte. A request that the client never
 * sent, or that no correct sender would send, shows up here; this is the oracle against smuggling.
 */
export class Recorder {
  upstream!: Upstream;
  /** Complete requests of all connections in the order of their ends. */
  readonly requests: Request[] = [];
  readonly #respond: Respond;
  #listening: Listening[] = [];

  private constructor(respond: Respond) {
    this.#respond = respond;
  }

  static async start(respond: Respond = respondOk): Promise<Recorder> {
    const recorder = new Recorder(respond);
    recorder.upstream = await Upstream.start((connection) => recorder.#listen(connection));
    return recorder;
  }

  get address(): string {
    return this.upstream.address;
  }

  /** Waits until this many requests were complete since the start. */
  async request(count: number, waitMs = 4000): Promise<Request> {
    await eventually(() => this.requests.length >= count, { what: `${count} complete requests upstream`, waitMs });
    const request = this.requests[count - 1];
    if (request === undefined) throw new Error(`Expected request ${count}, got none`);
    return request;
  }

  /** What came since the last call, connection by connection, without those that carried nothing. */
  take(): Recording[] {
    const recordings: Recording[] = [];
    for (const listening of this.#listening) {
      const { connection } = listening;
      const raw = connection.received;
      if (raw !== '') recordings.push({ ...parseRequests(raw), raw, closed: connection.closed || connection.ended });
      // What is answered is forgotten; a request that is still coming will be reported whole.
      connection.received = raw.slice(listening.from);
      listening.from = 0;
    }
    this.#listening = this.#listening.filter(({ connection }) => !connection.closed && !connection.ended);
    return recordings;
  }

  /** A request has begun, and its connection is open: it may still be completed. */
  get expecting(): boolean {
    return this.#listening.some(
      ({ connection, from }) => !connection.closed && !connection.ended && connection.received.length > from,
    );
  }

  /** Closes the upstream connections that are open, so that what follows begins with none, and forgets them. */
  forget(): void {
    for (const { connection } of this.#listening) connection.socket.destroy();
    this.#listening = [];
  }

  async stop(): Promise<void> {
    await this.upstream.stop();
  }

  #listen(connection: UpstreamConnection): void {
    const listening: Listening = { connection, from: 0, answered: 0, continued: -1 };
    this.#listening.push(listening);
    connection.socket.on('data', () => this.#answer(listening));
    connection.socket.on('end', () => connection.socket.end());
  }

  #answer(listening: Listening): void {
    const { connection } = listening;
    for (;;) {
      const request = parseRequest(connection.received, listening.from);
      if (request === undefined) return;
      if (!request.complete) {
        const waits = request.fields.some(([name, value]) => name === 'expect' && /^100-continue$/i.test(value));
        if (waits && listening.continued !== listening.answered) connection.send('HTTP/1.1 100 Continue\r\n\r\n');
        listening.continued = listening.answered;
        return;
      }
      listening.from = request.end;
      this.requests.push(request);
      this.#respond(request, connection, listening.answered++);
    }
  }
}

/** 200 with the body `ok`. */
export function respondOk(request: Request, connection: UpstreamConnection): void {
  connection.send(okReply(request));
}

export function okReply({ method }: { readonly method: string }, body = 'ok'): string {
  const content = method === 'HEAD' ? '' : body;
  return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${content}`;
}
