import { hash } from 'node:crypto';
import { bufferOf } from '../lib/buffer-of.ts';
import type { EventFilter } from '../model/snapshot.ts';
import { type EventFields, readBinary } from './cloud-events/binary.ts';
import { type CloudEvent, CONTENT_TYPE, eventMedia } from './cloud-events/event.ts';
import { decodeValue } from './cloud-events/header-value.ts';
import { readStructured, STRUCTURED_MEDIA } from './cloud-events/json.ts';
import { parseMediaType } from './cloud-events/media-type.ts';
import { MessageProblem } from './problem.ts';

/**
 * CloudEvents 1.0.2, both ways between HTTP and NATS. The NATS binding's binary mode is the one of the text that is to be 1.0.3:
 * 1.0.2 has none, for it is older than headers in NATS.
 */

export { type EventFields, type EventMessage, writeHttpBinary, writeNatsBinary } from './cloud-events/binary.ts';
export { type CloudEvent, eventMedia } from './cloud-events/event.ts';
export { readBatch, readStructured, STRUCTURED_MEDIA, writeStructured } from './cloud-events/json.ts';

/** An HTTP message in binary mode: an event, whose headers must be right. */
export function readHttpBinary(fields: EventFields, body: Uint8Array): CloudEvent | MessageProblem {
  return readBinary('http', fields, body);
}

const SPEC_VERSION = Buffer.from('"specversion"');
/** Of white space before an object, at most. */
const SPACE_MAX = 64;

/** The Content-Type that a `ce-datacontenttype` of NATS stands for; undefined: it is none. */
export function contentTypeOf(header: string): string | undefined {
  const type = decodeValue(header.trim());
  return type !== undefined && isMediaType(type) ? type : undefined;
}

/** May it be the type of an event's data? */
export function isMediaType(text: string): boolean {
  return parseMediaType(text) !== undefined;
}

/**
 * A NATS message, in either mode; undefined: it is no event. Binary mode has no mark but the attribute that says which version of
 * the specification it follows. One that says nothing of its body may be structured too: so all events are in the NATS binding of
 * 1.0.2 (section 3), which knows no headers.
 */
export function readNats(fields: EventFields, body: Uint8Array): CloudEvent | MessageProblem | undefined {
  let isBinary = false;
  let isTyped = false;
  for (const [name, values] of fields) {
    const lower = name.toLowerCase();
    const value = typeof values === 'string' ? values : (values[0] ?? '');
    if (lower === CONTENT_TYPE && eventMedia(value) !== undefined) return readStructured(body, value);
    isTyped ||= lower === CONTENT_TYPE;
    isBinary ||= lower === 'ce-specversion';
  }
  if (isBinary) return readBinary('nats', fields, body);
  if (isTyped || !looksStructured(body)) return undefined;
  const event = readStructured(body, STRUCTURED_MEDIA);
  return event instanceof MessageProblem ? undefined : event;
}

/** Cheaper than reading all that is no event. */
function looksStructured(body: Uint8Array): boolean {
  const bytes = bufferOf(body);
  return bytes.toString('latin1', 0, SPACE_MAX).trimStart().startsWith('{') && bytes.includes(SPEC_VERSION);
}

/** Does one of the filters match, or is there none? */
export function matchesFilters({ attributes }: CloudEvent, filters: readonly EventFilter[]): boolean {
  if (filters.length === 0) return true;
  return filters.some(
    ({ exact, prefix }) =>
      Object.entries(exact).every(([name, value]) => attributes.get(name) === value) &&
      Object.entries(prefix).every(([name, start]) => attributes.get(name)?.startsWith(start) === true),
  );
}

/** The same for an event that was sent again, and for no other: of `source` and `id` together ("Required Attributes", id). */
export function eventId({ attributes }: CloudEvent): string {
  return hash('sha256', JSON.stringify([attributes.get('source'), attributes.get('id')]), 'base64url');
}
