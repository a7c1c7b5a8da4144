/**
 * Where the members of a JSON object and the elements of an array stand in their text. `JSON.parse` alone would change what it
 * reads: large numbers lose digits, members change their order, and of two with one name the first disappears.
 */

const ARRAY = 91;
const ARRAY_END = 93;
const BACKSLASH = 92;
const COMMA = 44;
const OBJECT = 123;
const OBJECT_END = 125;
const QUOTE = 34;

/** @param text of an object, well-formed. Undefined: two members have one name. */
export function membersOf(text: string): ReadonlyMap<string, string> | undefined {
  const members = new Map<string, string>();
  let at = skipSpace(text, text.indexOf('{') + 1);
  while (text.charCodeAt(at) !== OBJECT_END) {
    const nameEnd = stringEnd(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const start = skipSpace(text, text.indexOf(':', nameEnd) + 1);
    const end = valueEnd(text, start);
    if (members.has(name)) return undefined;
    members.set(name, text.slice(start, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1);
  }
  return members;
}

/** @param text of an array, well-formed. Undefined: it has more elements. */
export function elementsOf(text: string, max: number): readonly string[] | undefined {
  const elements: string[] = [];
  let at = skipSpace(text, text.indexOf('[') + 1);
  while (text.charCodeAt(at) !== ARRAY_END) {
    if (elements.length === max) return undefined;
    const end = valueEnd(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1);
  }
  return elements;
}

/** RFC 8259 section 2. */
function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function isSpace(char: number): boolean {
  return char === 32 || char === 10 || char === 13 || char === 9;
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at + 1;
    if (char === BACKSLASH) at++;
  }
}

function valueEnd(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = stringEnd(text, at);
    else if (char === OBJECT || char === ARRAY) {
      depth++;
      at++;
    } else if (char === OBJECT_END || char === ARRAY_END) {
      depth--;
      at++;
    } else if (depth > 0) at++;
    else at = scalarEnd(text, at);
  } while (depth > 0);
  return at;
}

function scalarEnd(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === COMMA || char === OBJECT_END || char === ARRAY_END || isSpace(char)) return at;
  }
  return text.length;
}
