export { H1Downstream } from './http/h1-downstream.ts';
export { BodyReader, FRAMING, type BodySink } from './http/body.ts';
export {
  ASTERISK,
  composeReply,
  Edits,
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
  sameIgnoringCase,
} from './http/fields.ts';
export { framingIsSound } from './http/meaning.ts';
export { FORM, Head, HeadPool, METHOD } from './http/head.ts';
export { feedHead, type HeadLimits, PARSE_MORE, PARSE_REFUSED, startReply, startRequest } from './http/parse.ts';
export { type DialOwner, onDefect, outbox, runTimer, Wire } from './http/wire.ts';
export type { HttpContext } from './http/context.ts';
export type { Carrier, CarrierOwner, Connection, Door, Exchange, ExchangeOwner, Source } from './http/exchange.ts';
export { replyFraming } from './http/framing.ts';
