import { shown } from '../../lib/shown.ts';
import { DATA_CONTENT_TYPE } from './event.ts';
import { parseMediaType } from './media-type.ts';

/** Sections of the specification, "Required Attributes". */
const REQUIRED = ['id', 'source', 'specversion', 'type'] as const;
const SPEC_VERSION = '1.0';
/** As much as all headers of a message may have. */
const LENGTH_MAX = 32 * 1024;
/** "Naming Conventions". At most 20 characters is a SHOULD, which producers do not keep to. */
const NAME = /^[a-z0-9]+$/;
/** "Type System", String: what it disallows, but for unpaired surrogates. */
// oxlint-disable-next-line no-control-regex -- these are what it looks for
const DISALLOWED = /[\u0000-\u001f\u007f-\u009f\p{Noncharacter_Code_Point}]/u;
/** RFC 3986 section 2: anything else is percent-encoded. */
const URI_REFERENCE = /^(?:[A-Za-z0-9._~:/?#[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
/** RFC 3339 section 5.6. */
const TIMESTAMP =
  /^(\d{4})-(\d{2})-(\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** "Required" and "Optional Attributes": what their values must be. */
const CHECKS: Readonly<Record<string, { readonly expected: string; readonly holds: (value: string) => boolean }>> = {
  id: { expected: 'a value', holds: (value) => value !== '' },
  source: { expected: 'a URI-reference (RFC 3986)', holds: (value) => URI_REFERENCE.test(value) },
  specversion: { expected: SPEC_VERSION, holds: (value) => value === SPEC_VERSION },
  type: { expected: 'a value', holds: (value) => value !== '' },
  subject: { expected: 'a value', holds: (value) => value !== '' },
  dataschema: {
    expected: 'an absolute URI (RFC 3986)',
    holds: (value) => SCHEME.test(value) && URI_REFERENCE.test(value),
  },
  time: { expected: 'a date and time as RFC 3339 has them', holds: isTimestamp },
  [DATA_CONTENT_TYPE]: { expected: 'a media type (RFC 2046)', holds: (value) => parseMediaType(value) !== undefined },
};

/** Is it one of the specification's own, all of which are text? */
export function isOfSpecification(name: string): boolean {
  return Object.hasOwn(CHECKS, name);
}

/** Why no attribute may have this name; undefined: one may. */
export function nameRefusal(name: string): string | undefined {
  // "Naming Conventions": `data` is reserved, for the formats that have the payload among the attributes.
  if (NAME.test(name) && name !== 'data') return undefined;
  return `Expected names of attributes of lower-case letters and digits, and not "data", got ${shown(name)}`;
}

/** Why the attribute may not have this value; undefined: it may. */
export function valueRefusal(name: string, value: string): string | undefined {
  if (value.length > LENGTH_MAX)
    return `Expected ${name} to have at most ${LENGTH_MAX} characters, got ${value.length}`;
  if (DISALLOWED.test(value) || !value.isWellFormed())
    return `Expected ${name} to be text without control characters, noncharacters and unpaired surrogates, got ${shown(value)}`;
  if (!isOfSpecification(name)) return undefined;
  const check = CHECKS[name]!;
  return check.holds(value) ? undefined : `Expected ${name} to be ${check.expected}, got ${shown(value)}`;
}

/** What is missing; undefined: nothing that is required. */
export function missing(attributes: ReadonlyMap<string, string>): string | undefined {
  const absent = REQUIRED.filter((name) => !attributes.has(name));
  return absent.length === 0
    ? undefined
    : `Expected the attributes ${REQUIRED.join(', ')}, got none of ${absent.join(', ')}`;
}

function isTimestamp(value: string): boolean {
  const [, year, month, day] = TIMESTAMP.exec(value) ?? [];
  if (year === undefined) return false;
  // The day of the month; a date that does not exist would be another one.
  const date = new Date(Date.UTC(2000, Number(month) - 1, Number(day)));
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  return date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
}
