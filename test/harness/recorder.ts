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

/**
 * The upstream that trusts nobody: it answers each complete request and keeps every byte. A request that the client never
 * sent, or that no correct sender would send, shows up here; this is the oracle against smuggling.
 */
export class Recorder {
  upstream!: Upstream;
  /** Complete requests of all connections in the order of their ends. */
  readonly requests: Request[] = [];
  readonly #respond: Respond;
  /** Connections before this index were forgotten. */
  #first = 0;
  /** How much of each live connection was taken by earlier calls. */
  readonly #offsets = new Map<UpstreamConnection, number>();

  private constructor(respond: Respond) {
    this.#respond = respond;
  }

  static async start(respond: Respond = respondOk): Promise<Recorder> {
    const recorder = new Recorder(respond);
    recorder.upstream = await Upstream.start((connection) => recorder.#serve(connection));
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

  /** What came since the last call, connection by connection; connections without a byte are left out. */
  take(): Recording[] {
    const recordings: Recording[] = [];
    for (const connection of this.upstream.connections.slice(this.#first)) {
      const from = this.#offsets.get(connection) ?? 0;
      const raw = connection.received.slice(from);
      if (raw !== '') recordings.push({ ...parseRequests(raw), raw, closed: connection.closed || connection.ended });
      this.#offsets.set(connection, connection.received.length);
    }
    return recordings;
  }

  /** Closes the upstream connections that are open, so that what follows begins with none, and forgets them. */
  forget(): void {
    for (const { socket } of this.upstream.open) socket.destroy();
    this.#first = this.upstream.connections.length;
    this.#offsets.clear();
  }

  async stop(): Promise<void> {
    await this.upstream.stop();
  }

  #serve(connection: UpstreamConnection): void {
    let from = 0;
    let index = 0;
    let continued = -1;
    connection.socket.on('data', () => {
      for (;;) {
        const request = parseRequest(connection.received, from);
        if (request === undefined) return;
        if (!request.complete) {
          const waits = request.fields.some(([name, value]) => name === 'expect' && /^100-continue$/i.test(value));
          if (waits && continued !== index) connection.send('HTTP/1.1 100 Continue\r\n\r\n');
          continued = index;
          return;
        }
        from = request.end;
        this.requests.push(request);
        this.#respond(request, connection, index);
        index += 1;
      }
    });
    connection.socket.on('end', () => connection.socket.end());
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
