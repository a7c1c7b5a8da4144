import { MessageProblem } from '../problem.ts';

/** A CloudEvent (CloudEvents 1.0.2), whatever it came as. */
export interface CloudEvent {
  /** By name, in their canonical string form (section "Type System"); `datacontenttype` among them. */
  readonly attributes: ReadonlyMap<string, string>;
  /** Undefined: it has none. */
  readonly data: Uint8Array | undefined;
  /** Attributes that are a Boolean or an Integer, so that JSON has them without quotes. Headers tell no types: none then. */
  readonly bare?: ReadonlySet<string>;
}

export const DATA_CONTENT_TYPE = 'datacontenttype';
export const CONTENT_TYPE = 'content-type';
const EVENT_MEDIA = 'application/cloudevents';
const BATCH_MEDIA = `${EVENT_MEDIA}-batch`;

/** What a Content-Type says of a message (HTTP binding section 3, NATS binding section 3); undefined: binary mode, or no event. */
export function eventMedia(contentType: string): 'event' | 'batch' | undefined {
  const lower = contentType.trimStart().toLowerCase();
  if (lower.startsWith(BATCH_MEDIA)) return 'batch';
  return lower.startsWith(EVENT_MEDIA) ? 'event' : undefined;
}

/** @param detail what was expected and what was got. */
export function invalidEvent(detail: string): MessageProblem {
  return new MessageProblem('invalid-event', detail);
}
