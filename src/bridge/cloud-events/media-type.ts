const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/**
 * Of the parameters only that they are ASCII: mail may have comments and spaces between them (RFC 2045 section 5.1), and what is
 * not ASCII is no header.
 */
const MEDIA_TYPE = new RegExp(`^(${TOKEN})/(${TOKEN}) *(?:[;(][\\x20-\\x7e]*)?$`);
const CHARSET = new RegExp(`; *charset *= *"?(${TOKEN})`, 'i');
const ENCODINGS: Readonly<Record<string, TextEncoding>> = {
  'utf-8': 'utf8',
  'utf8': 'utf8',
  'us-ascii': 'utf8',
  'iso-8859-1': 'latin1',
};

/** Encodings of text that can be written without loss, by the names that Buffer has for them. */
export type TextEncoding = 'utf8' | 'latin1';

export interface MediaType {
  /** Its subtype is `json` or ends with `+json` (JSON format section 3.1.1). It is UTF-8 then, whatever its charset (RFC 8259 section 11). */
  readonly isJson: boolean;
  /** Its bytes are text that people can read: `text/*`, XML. */
  readonly isText: boolean;
  /** Of its text; UTF-8 if it does not say. Undefined: another one. */
  readonly encoding: TextEncoding | undefined;
}

/** Media type with parameters (RFC 2046); undefined: it is none. */
export function parseMediaType(text: string): MediaType | undefined {
  const [, type, subtype] = MEDIA_TYPE.exec(text)?.map((part) => part?.toLowerCase()) ?? [];
  if (type === undefined || subtype === undefined) return undefined;
  const charset = CHARSET.exec(text)?.[1]?.toLowerCase() ?? 'utf-8';
  return {
    isJson: subtype === 'json' || subtype.endsWith('+json'),
    isText: type === 'text' || subtype === 'xml' || subtype.endsWith('+xml'),
    encoding: Object.hasOwn(ENCODINGS, charset) ? ENCODINGS[charset] : undefined,
  };
}
