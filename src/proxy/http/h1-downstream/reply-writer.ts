import { FRAMING } from '../body.ts';
import { AFTERWARDS, type Edits, NO_NAMES, writeLastChunk, writePayload, writeReply } from '../encode.ts';
import { FIELD } from '../fields.ts';
import { replyFraming } from '../framing.ts';
import { type Head, METHOD } from '../head.ts';
import { outbox, type Wire } from '../wire.ts';

/** Puts the replies of one connection on its wire, each in the framing that its request and its connection allow. */
export class ReplyWriter {
  /** Something of the present reply was written, and not taken back. */
  began = false;
  ended = false;
  /** It ends the HTTP of this connection: what follows are bytes without meaning to us. */
  switched = false;
  /** Payload of all replies together. */
  sentBytes = 0;
  readonly #wire: Wire;
  #framing: number = FRAMING.none;
  /** Fields that do not go on, as trailers neither. */
  #dropped = NO_NAMES;
  /** Where the reply starts in the outbox, and what had been sent before it. */
  #mark = 0;
  #sends = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** For a request that begins. */
  reset(): void {
    this.began = false;
    this.ended = false;
    this.switched = false;
  }

  inform(request: Head, head: Head, edits: Edits): void {
    // RFC 9110 section 15.2: not to an HTTP/1.0 client.
    edits.drop |= 1 << FIELD.contentLength;
    if (request.minor > 0) writeReply(this.#wire, head, edits, false, AFTERWARDS.open);
  }

  /** Chooses the framing of a reply. True: only the end of the connection can end it. */
  frame(request: Head, head: Head, edits: Edits): boolean {
    const framing = replyFraming(head, request.method);
    this.switched = framing === FRAMING.untilClose && (head.status === 101 || request.method === METHOD.connect);
    // RFC 9110 section 8.6: neither 1xx nor 204 has a length.
    if (head.status === 204 || this.switched) edits.drop |= 1 << FIELD.contentLength;
    this.#framing = framing;
    if (!this.switched && (framing === FRAMING.untilClose || framing === FRAMING.chunked))
      this.#framing = request.minor > 0 ? FRAMING.chunked : FRAMING.untilClose;
    return this.#framing === FRAMING.untilClose;
  }

  /** Writes the head of the reply that was framed. @param afterwards what becomes of the connection. */
  start(head: Head, edits: Edits, afterwards: number): void {
    this.began = true;
    this.#mark = outbox.mark(this.#wire);
    this.#sends = this.#wire.sends;
    this.#dropped = edits.names;
    writeReply(this.#wire, head, edits, this.#framing === FRAMING.chunked, afterwards);
  }

  /** False: the client does not keep up. */
  data(bytes: Buffer, start: number, end: number): boolean {
    const open = writePayload(this.#wire, bytes, start, end, this.#framing === FRAMING.chunked);
    this.sentBytes += end - start;
    if (!open) this.#wire.moved();
    return open;
  }

  end(trailers: Head | undefined): void {
    this.ended = true;
    if (this.#framing === FRAMING.chunked) writeLastChunk(this.#wire, trailers, this.#dropped);
  }

  /** Takes the reply back. True: nothing of it had left. */
  retract(): boolean {
    if (this.switched || this.#wire.sends !== this.#sends) return false;
    this.began = false;
    return outbox.rewind(this.#wire, this.#mark);
  }
}
