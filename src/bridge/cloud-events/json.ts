import { bufferOf } from '../../lib/buffer-of.ts';
import { shown } from '../../lib/shown.ts';
import { MessageProblem } from '../problem.ts';
import { isOfSpecification, missing, nameRefusal, valueRefusal } from './attributes.ts';
import { type CloudEvent, DATA_CONTENT_TYPE, eventMedia, invalidEvent } from './event.ts';
import { elementsOf, membersOf } from './json-text.ts';
import { parseMediaType } from './media-type.ts';

/** The JSON format's media type (section 3), which a structured message has as its Content-Type. */
export const STRUCTURED_MEDIA = 'application/cloudevents+json';
const BATCH_MEDIA = 'application/cloudevents-batch+json';
const JSON_MEDIA = 'application/json';
/** Of one body: each may become a problem of its own. */
const BATCH_MAX = 10_000;
/** "Type System", Integer: 32 bits with a sign. */
const INTEGER = /^-?(?:0|[1-9]\d{0,9})$/;
const INTEGER_MIN = -(2 ** 31);
const INTEGER_MAX = 2 ** 31 - 1;
const NOT_LATIN1 = /[^\0-\xff]/;
/** RFC 4648 section 4, with its padding. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

const strict = new TextDecoder('utf-8', { fatal: true });
/** What begins with a byte order mark keeps it. */
const strictWhole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** An event in structured mode, in the JSON format. Other formats are `unsupported-media-type`. */
export function readStructured(body: Uint8Array, contentType: string): CloudEvent | MessageProblem {
  if (eventMedia(contentType) === 'batch')
    return invalidEvent(`Expected one event as ${STRUCTURED_MEDIA}, got ${shown(contentType)}`);
  // NATS binding section 3: without a format it is JSON.
  const unknown = unknownMedia(contentType, [STRUCTURED_MEDIA, 'application/cloudevents']);
  if (unknown !== undefined) return unknown;
  const text = parsedText(body);
  return text === undefined ? invalidEvent('Expected an event in the JSON format, got no JSON') : eventOf(text);
}

/** Several events (JSON format section 4): each by itself, so that one of them can be wrong alone. */
export function readBatch(
  body: Uint8Array,
  contentType: string,
): readonly (CloudEvent | MessageProblem)[] | MessageProblem {
  const unknown = unknownMedia(contentType, [BATCH_MEDIA]);
  if (unknown !== undefined) return unknown;
  const text = parsedText(body);
  if (text?.trimStart().startsWith('[') !== true) return invalidEvent('Expected a JSON array of events, got none');
  const elements = elementsOf(text, BATCH_MAX);
  if (elements === undefined) return invalidEvent(`Expected at most ${BATCH_MAX} events in a batch, got more`);
  return elements.map(eventOf);
}

/** Another format than JSON, or another encoding than UTF-8; undefined: it is neither. */
function unknownMedia(contentType: string, known: readonly string[]): MessageProblem | undefined {
  const media = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if (known.includes(media) && parseMediaType(contentType.trim())?.encoding === 'utf8') return undefined;
  return new MessageProblem('unsupported-media-type', `Expected ${known[0]} in UTF-8, got ${shown(contentType)}`);
}

/** UTF-8 that is JSON; undefined: it is not. */
function parsedText(body: Uint8Array): string | undefined {
  try {
    const text = strict.decode(body);
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}

/** @param text well-formed JSON. */
function eventOf(text: string): CloudEvent | MessageProblem {
  if (!text.trimStart().startsWith('{'))
    return invalidEvent(`Expected an event as a JSON object, got ${shown(text.trim())}`);
  const members = membersOf(text);
  if (members === undefined) return invalidEvent('Expected members of different names, got two of one name');
  const attributes = new Map<string, string>();
  const bare = new Set<string>();
  for (const [name, value] of members) {
    if (name === 'data' || name === 'data_base64') continue;
    const refusal = nameRefusal(name) ?? readAttribute(name, value, attributes, bare);
    if (refusal !== undefined) return invalidEvent(refusal);
  }
  const absent = missing(attributes);
  if (absent !== undefined) return invalidEvent(absent);
  const data = readData(members, attributes);
  return typeof data === 'string' ? invalidEvent(data) : { attributes, data, bare };
}

/** Section 2.2. @returns what was expected, if it is no attribute. */
function readAttribute(
  name: string,
  value: string,
  attributes: Map<string, string>,
  bare: Set<string>,
): string | undefined {
  if (value === 'null') return undefined;
  if (value.startsWith('"')) {
    const text = JSON.parse(value) as string;
    attributes.set(name, text);
    return valueRefusal(name, text);
  }
  if (isOfSpecification(name)) return `Expected ${name} to be a string, got ${shown(value)}`;
  const isInteger = INTEGER.test(value) && Number(value) >= INTEGER_MIN && Number(value) <= INTEGER_MAX;
  if (!isInteger && value !== 'true' && value !== 'false')
    return `Expected ${name} to be a string, a Boolean or an integer of 32 bits, got ${shown(value)}`;
  attributes.set(name, value);
  bare.add(name);
  return undefined;
}

/** Section 3.1.2. Sets the type of the data where it is implied. @returns text: what was expected. */
function readData(
  members: ReadonlyMap<string, string>,
  attributes: Map<string, string>,
): Uint8Array | undefined | string {
  const data = members.get('data');
  const base64 = members.get('data_base64');
  if (base64 !== undefined && base64 !== 'null') {
    if (data !== undefined) return 'Expected either data or data_base64, got both';
    const text = base64.startsWith('"') ? (JSON.parse(base64) as string) : undefined;
    if (text === undefined || text.length % 4 !== 0 || !BASE64.test(text))
      return `Expected data_base64 to be base64 (RFC 4648 section 4), got ${shown(base64)}`;
    return Buffer.from(text, 'base64');
  }
  if (data === undefined) return undefined;
  const type = attributes.get(DATA_CONTENT_TYPE) ?? JSON_MEDIA;
  attributes.set(DATA_CONTENT_TYPE, type);
  const media = parseMediaType(type)!;
  if (media.isJson) return Buffer.from(data);
  if (!data.startsWith('"')) return `Expected data of ${type} to be a string, got ${shown(data)}`;
  const text = JSON.parse(data) as string;
  const { encoding } = media;
  if (encoding === undefined || (encoding === 'latin1' && NOT_LATIN1.test(text)))
    return `Expected data of ${type} as data_base64, got them as data`;
  return Buffer.from(text, encoding);
}

/** An event in structured mode, as `application/cloudevents+json`. */
export function writeStructured(event: CloudEvent): Buffer {
  const members = Array.from(
    event.attributes,
    ([name, value]) => `"${name}":${event.bare?.has(name) === true ? value : JSON.stringify(value)}`,
  );
  if (event.data !== undefined) members.push(writtenData(event.data, event.attributes.get(DATA_CONTENT_TYPE)));
  return Buffer.from(`{${members.join(',')}}`);
}

/** Section 3.1.1: JSON and text as they are, byte for byte the same when they are read; everything else as base64. */
function writtenData(data: Uint8Array, type: string | undefined): string {
  const media = type === undefined ? undefined : parseMediaType(type);
  try {
    if (media?.isJson === true) {
      const text = strictWhole.decode(data);
      JSON.parse(text);
      return `"data":${text}`;
    }
    if (media?.isText === true && media.encoding === 'utf8')
      return `"data":${JSON.stringify(strictWhole.decode(data))}`;
  } catch {
    // It is not what its type says: bytes.
  }
  return `"data_base64":"${bufferOf(data).toString('base64')}"`;
}
