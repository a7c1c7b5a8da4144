import { shown } from '../../lib/shown.ts';

import type { Field } from '../headers.ts';
import type { MessageProblem } from '../problem.ts';
import { missing, nameRefusal, valueRefusal } from './attributes.ts';
import { type CloudEvent, CONTENT_TYPE, DATA_CONTENT_TYPE, eventMedia, invalidEvent } from './event.ts';
import { decodeValue, encodeValue } from './header-value.ts';
import { STRUCTURED_MEDIA, writeStructured } from './json.ts';
import { parseMediaType } from './media-type.ts';

const PREFIX = 'ce-';
/** More than what servers take: Node.js has 16 KiB for a whole head. */
const HTTP_FIELDS_MAX = 64;
const HTTP_FIELDS_CHARS_MAX = 12 * 1024;
const NO_BODY = new Uint8Array();

/** A message that carries an event. */
export interface EventMessage {
  readonly fields: readonly Field[];
  readonly body: Uint8Array;
}

/** Of HTTP or NATS: those of one name together, or one by one. */
export type EventFields = Iterable<readonly [name: string, values: string | readonly string[]]>;

/**
 * Where a binding keeps the type of the data. HTTP has it in Content-Type and forbids the other one (HTTP binding section 3.1.1).
 * NATS has it as any attribute (NATS binding 1.0.3-wip section 3.1.3.1); a Content-Type is believed there too, where the
 * attribute is absent: many write it alone.
 */
export type Binding = 'http' | 'nats';

/**
 * An event in binary mode.
 * @param fields names in any case (they mean the same, RFC 9110 section 5.1 and ADR-4). @param body empty: no data.
 */
export function readBinary(binding: Binding, fields: EventFields, body: Uint8Array): CloudEvent | MessageProblem {
  const attributes = new Map<string, string>();
  let contentType: string | undefined;
  for (const [anyCase, values] of fields) {
    const field = anyCase.toLowerCase();
    const [value, further] = typeof values === 'string' ? [values] : values;
    if (value === undefined) continue;
    if (field === CONTENT_TYPE) contentType = value.trim();
    if (!field.startsWith(PREFIX)) continue;
    const name = field.slice(PREFIX.length);
    if (binding === 'http' && name === DATA_CONTENT_TYPE)
      return invalidEvent('Expected Content-Type to tell the type of the data, got ce-datacontenttype');
    const refusal = nameRefusal(name);
    if (refusal !== undefined) return invalidEvent(refusal);
    if (further !== undefined || attributes.has(name)) return invalidEvent(`Expected one header ${field}, got several`);
    const decoded = decodeValue(value.trim());
    if (decoded === undefined)
      return invalidEvent(`Expected ${field} to be percent-encoded UTF-8 in ASCII, got ${shown(value)}`);
    attributes.set(name, decoded);
  }
  // An empty one says nothing; and in NATS it is no part of the event, so that it cannot make it a wrong one.
  if (
    contentType &&
    !attributes.has(DATA_CONTENT_TYPE) &&
    (binding === 'http' || parseMediaType(contentType) !== undefined)
  )
    attributes.set(DATA_CONTENT_TYPE, contentType);
  for (const [name, value] of attributes) {
    const refusal = valueRefusal(name, value);
    if (refusal !== undefined) return invalidEvent(refusal);
  }
  const absent = missing(attributes);
  if (absent !== undefined) return invalidEvent(absent);
  return { attributes, data: body.length === 0 ? undefined : body };
}

/** As a NATS message: every attribute is a header, and the data are the body. */
export function writeNatsBinary({ attributes, data }: CloudEvent): EventMessage {
  const fields = Array.from(attributes, ([name, value]): Field => [PREFIX + name, encodeValue(value)]);
  return { fields, body: data ?? NO_BODY };
}

/**
 * As an HTTP message. An event whose data are a CloudEvent by their type goes structured: in binary mode nobody could tell it
 * from the one inside. So does one with more attributes than a head can hold: events of up to 64 KiB are to be forwarded
 * (specification, "Size Limits").
 */
export function writeHttpBinary(event: CloudEvent): EventMessage {
  const type = event.attributes.get(DATA_CONTENT_TYPE);
  const fields = Array.from(event.attributes, ([name, value]): Field =>
    name === DATA_CONTENT_TYPE ? [CONTENT_TYPE, value] : [PREFIX + name, encodeValue(value)],
  );
  const chars = fields.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const fits = fields.length <= HTTP_FIELDS_MAX && chars <= HTTP_FIELDS_CHARS_MAX;
  if (fits && (type === undefined || eventMedia(type) === undefined)) return { fields, body: event.data ?? NO_BODY };
  return { fields: [[CONTENT_TYPE, STRUCTURED_MEDIA]], body: writeStructured(event) };
}
