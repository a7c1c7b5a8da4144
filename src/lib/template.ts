import { shown } from './shown.ts';
import { patternRefusal, subjectRefusal } from './subject.ts';

/** Where a template's values come from: tokens of a subject, segments of a path, headers, CloudEvents attributes. */
export type TemplateRoot = 'subject' | 'path' | 'header' | 'ce';

/** What a template may name, and what it makes: a subject (`.`) or a path (`/`). */
export interface TemplateGrammar {
  readonly allowed: readonly TemplateRoot[];
  readonly separator: '.' | '/';
  /** A value may be several tokens of a subject: `pattern()` then says too little, and who fills it looks at the subject. */
  readonly dotted?: boolean;
}

/** Of the subject that serves a Service, filled from a request; and of the path that a message is delivered to. */
export const SUBJECT_TEMPLATE: TemplateGrammar = { allowed: ['path', 'header', 'ce'], separator: '.' };
export const PATH_TEMPLATE: TemplateGrammar = { allowed: ['subject', 'header', 'ce'], separator: '/' };

/** What a template is filled with. Values are as they are meant: decoded already. */
export interface TemplateValues {
  /** Undefined: it has no token, or segment, of this index (from 0). */
  token(root: 'subject' | 'path', index: number): string | undefined;
  /** @param name lower-case. Undefined: there is none. */
  named(root: 'header' | 'ce', name: string): string | undefined;
}

type Part =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'token' | 'rest'; readonly root: 'subject' | 'path'; readonly index: number }
  | { readonly is: 'named'; readonly root: 'header' | 'ce'; readonly name: string };

/** The one grammar of templates: `orders.{path[1]}`, `/events/{subject[2:]}`, `{header.NAME}`, `{ce.NAME}`. */
export class Template {
  readonly text: string;
  readonly #parts: readonly Part[];
  readonly #separator: '.' | '/';
  readonly #dotted: boolean;

  /** By `parseTemplate` only. */
  constructor(text: string, parts: readonly Part[], { separator, dotted }: TemplateGrammar) {
    this.text = text;
    this.#parts = parts;
    this.#separator = separator;
    this.#dotted = dotted ?? false;
  }

  /** Undefined: a value is missing, or is not exactly one token of a subject (but where they are dotted) or one segment of a path. */
  render(values: TemplateValues): string | undefined {
    const tokens: string[] = [];
    for (const part of this.#parts) if (!this.#add(tokens, part, values)) return undefined;
    if (this.#separator === '/') return `/${tokens.join('/')}`;
    const subject = tokens.join('.');
    // What is no token is none of a subject either; the values together may be too many, or name what is not a client's.
    return subjectRefusal(subject) === undefined ? subject : undefined;
  }

  /** Of a template for subjects: a pattern that matches all that it can make, and as little else as a pattern can. */
  pattern(): string {
    return this.#parts.map(widestToken).join('.');
  }

  #add(tokens: string[], part: Part, values: TemplateValues): boolean {
    if (part.is === 'text') return tokens.push(part.text) > 0;
    if (part.is === 'named') return this.#addValue(tokens, values.named(part.root, part.name));
    let { index } = part;
    if (!this.#addValue(tokens, values.token(part.root, index))) return false;
    if (part.is === 'token') return true;
    for (;;) {
      const value = values.token(part.root, ++index);
      if (value === undefined) return true;
      if (!this.#addValue(tokens, value)) return false;
    }
  }

  #addValue(tokens: string[], value: string | undefined): boolean {
    if (value === undefined) return false;
    const token = this.#separator === '/' ? pathSegment(value) : this.#dotted ? value : subjectToken(value);
    if (token === undefined) return false;
    tokens.push(token);
    return true;
  }
}

function widestToken(part: Part): string {
  if (part.is === 'text') return part.text;
  return part.is === 'rest' ? '>' : '*';
}

/** A token may be no more than a token: `subjectRefusal` looks at the rest of the grammar. */
function subjectToken(value: string): string | undefined {
  return value.length > 0 && !value.includes('.') ? value : undefined;
}

/**
 * Percent-encoded, so that whoever decodes the path once gets the value (RFC 3986 section 2.1). Nothing that a server could take
 * for another segment, or for the one above; and no spaces, as in subjects.
 */
function pathSegment(value: string): string | undefined {
  if (value === '' || value === '.' || value === '..' || NOT_IN_SEGMENT.test(value) || !value.isWellFormed())
    return undefined;
  return encodeURIComponent(value);
}
// oxlint-disable-next-line no-control-regex -- these are what it looks for
const NOT_IN_SEGMENT = /[\u0000-\u0020\u007f-\u009f/\\]/;

const TEXT_MAX = 256;
const INDEX = /^(subject|path)\[(\d{1,2})(:?)\]$/;
const NAMED = /^(?:(header)\.([!#$%&'*+.^`|~0-9a-z-]+)|(ce)\.([a-z0-9]+))$/;
const LITERAL_SEGMENT = /^(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+$/;
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/** @returns a string: what was expected and what was got. */
export function parseTemplate(text: string, grammar: TemplateGrammar): Template | string {
  const { separator } = grammar;
  if (text.length > TEXT_MAX) return `Expected a template of at most ${TEXT_MAX} characters, got ${text.length}`;
  if (separator === '/' && !text.startsWith('/')) return `Expected a path that begins with /, got ${shown(text)}`;
  if (text === '/') return new Template(text, [{ is: 'text', text: '' }], grammar);
  const tokens = splitOutsideBraces(separator === '/' ? text.slice(1) : text, separator);
  const parts: Part[] = [];
  for (const [index, token] of tokens.entries()) {
    const part = /[{}]/.test(token)
      ? parseValue(token, grammar)
      : parseLiteral(token, separator, index === tokens.length - 1);
    if (typeof part === 'string') return part;
    if (part.is === 'rest' && index < tokens.length - 1)
      return `Expected ${shown(token)} at the end, got ${shown(text)}`;
    parts.push(part);
  }
  const template = new Template(text, parts, grammar);
  if (separator === '.') {
    const refusal = patternRefusal(template.pattern());
    if (refusal !== undefined) return refusal;
  }
  return template;
}

/** The separator is a part of names (`{header.x}`) too. */
function splitOutsideBraces(text: string, separator: string): readonly string[] {
  const tokens: string[] = [];
  let start = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{') inside = true;
    else if (char === '}') inside = false;
    else if (char === separator && !inside) {
      tokens.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...tokens, text.slice(start)];
}

function parseValue(token: string, { allowed, separator }: TemplateGrammar): Part | string {
  const choice = `one of ${allowed.map((root) => EXAMPLES[root]).join(', ')}`;
  if (!/^\{[^{}]*\}$/.test(token)) {
    return `Expected a value to stand alone between two of ${shown(separator)}, got ${shown(token)}`;
  }
  const inner = token.slice(1, -1);
  const [, root, digits, colon] = INDEX.exec(inner) ?? [];
  if (root === 'subject' || root === 'path') {
    if (!allowed.includes(root)) return `Expected ${choice}, got ${shown(token)}`;
    return { is: colon === ':' ? 'rest' : 'token', root, index: Number(digits) };
  }
  const [, header, headerName, ce, ceName] = NAMED.exec(inner.toLowerCase()) ?? [];
  const named = header === undefined ? ce : header;
  const name = headerName ?? ceName;
  if ((named !== 'header' && named !== 'ce') || name === undefined || !allowed.includes(named)) {
    return `Expected ${choice}, got ${shown(token)}`;
  }
  return { is: 'named', root: named, name };
}
const EXAMPLES: Readonly<Record<TemplateRoot, string>> = {
  subject: '{subject[0]} or {subject[0:]}',
  path: '{path[0]} or {path[0:]}',
  header: '{header.NAME}',
  ce: '{ce.NAME}',
};

/** @param last a path may end with a slash. */
function parseLiteral(token: string, separator: '.' | '/', last: boolean): Part | string {
  const part: Part = { is: 'text', text: token };
  if (separator === '.') {
    // The whole is looked at when its values are known: by its pattern, where a wildcard would pass for a value.
    return token === '*' || token === '>' ? `Expected a subject without wildcards, got ${shown(token)}` : part;
  }
  if (token === '' && last) return part;
  if (LITERAL_SEGMENT.test(token) && !DOT_SEGMENT.test(token)) return part;
  return `Expected segments of a path as RFC 3986 has them, without dot segments, got ${shown(token)}`;
}
