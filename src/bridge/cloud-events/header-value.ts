const SPACE = 32;
const QUOTE = 34;
const PERCENT = 37;
const BACKSLASH = 92;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A value of an attribute as a header has it (HTTP binding and NATS binding, section 3.1.3.2). */
export function encodeValue(value: string): string {
  if (isPlain(value)) return value;
  let encoded = '';
  for (const byte of Buffer.from(value)) {
    const plain = byte > SPACE && byte < 0x7f && byte !== QUOTE && byte !== PERCENT;
    encoded += plain ? String.fromCharCode(byte) : `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
  }
  return encoded;
}

/**
 * The value that a header stands for: quoted strings are taken out of their quotes (RFC 7230 section 3.2.6), then one round of
 * percent-decoding. Undefined: a quote is not closed, what was encoded is no UTF-8, a percent sign encodes nothing, or there is
 * more than ASCII.
 */
export function decodeValue(text: string): string | undefined {
  if (isPlain(text)) return text;
  const bytes = Buffer.allocUnsafe(text.length);
  let length = 0;
  const unquoted = text.includes('"') ? unquote(text) : text;
  if (unquoted === undefined) return undefined;
  for (let at = 0; at < unquoted.length; at++) {
    const char = unquoted.charCodeAt(at);
    if (char > 0x7e || char < SPACE) return undefined;
    if (char === PERCENT) {
      const hex = unquoted.slice(at + 1, at + 3);
      if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return undefined;
      bytes[length++] = Number.parseInt(hex, 16);
      at += 2;
    } else bytes[length++] = char;
  }
  try {
    return strict.decode(bytes.subarray(0, length));
  } catch {
    return undefined;
  }
}

function unquote(text: string): string | undefined {
  let unquoted = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) quoted = !quoted;
    else if (char === BACKSLASH && quoted) {
      if (++at === text.length) return undefined;
      unquoted += text[at];
    } else unquoted += text[at];
  }
  return quoted ? undefined : unquoted;
}

/** The same encoded and not. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char <= SPACE || char > 0x7e || char === QUOTE || char === PERCENT) return false;
  }
  return true;
}
