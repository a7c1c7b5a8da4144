export { H1Downstream } from './http/h1-downstream.ts';
export { BodyReader, FRAMING, type BodySink } from './http/body.ts';
export {
  ASTERISK,
  composeReply,
  Edits,
  NO_NAMES,
  PATH_AS_IT_IS,
  SLASH,
  writeLastChunk,
  writePayload,
  writeRequest,
} from './http/encode.ts';
export {
  DROP_FROM_REPLY,
  DROP_FROM_REQUEST,
  DROP_FROM_TRUSTED_REQUEST,
  FIELD,
  hashStep,
  NOT_NOMINABLE,
  sameIgnoringCase,
  UNBELIEVED,
  UNBELIEVED_OF_TRUSTED,
} from './http/fields.ts';
export { framingIsSound, requestIsSound } from './http/meaning.ts';
export { FORM, Head, HeadPool, METHOD } from './http/head.ts';
export { LineEdits } from './http/line-edits.ts';
export { type CookiePlace, CookieWalk, findCookie, findNamed } from './http/named.ts';
export { feedHead, type HeadLimits, PARSE_MORE, PARSE_REFUSED, startReply, startRequest } from './http/parse.ts';
export { type DialOwner, onDefect, outbox, runTimer, Wire } from './http/wire.ts';
export type { HttpContext } from './http/context.ts';
export type { Carrier, CarrierOwner, Connection, Door, Exchange, ExchangeOwner, Source } from './http/exchange.ts';
export { replyFraming } from './http/framing.ts';
