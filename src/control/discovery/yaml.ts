import { Composer, Lexer, LineCounter, Parser, type CST, type Document } from 'yaml';

/** Far above any manifest, far below what exhausts the stack or the heap of the main thread. */
const NESTING_MAX = 200;
const TOKENS_MAX = 4_000_000;
const ERRORS_MAX = 100;

/** A document as it was parsed (`errors` may be set), or the place from which on the rest of the text was not read. */
export type YamlPart =
  | { readonly type: 'document'; readonly document: Document }
  | { readonly type: 'stopped'; readonly line: number; readonly expected: string; readonly got: string };

export interface Yaml {
  readonly parts: readonly YamlPart[];
  /** 1-based line of an offset in the text. */
  readonly lineAt: (offset: number) => number;
}

/**
 * Parses YAML or JSON (which is YAML) into documents with positions. The library has no bounds of its own, so its three
 * stages are driven from here: lexer, parser, composer.
 */
export function parseYaml(text: string): Yaml {
  const lines = new LineCounter();
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  // The library makes one Error per fault; without stack traces a text of nothing but faults takes a fifth of the memory.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return { parts: parse(text, lines), lineAt };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function parse(text: string, lines: LineCounter): readonly YamlPart[] {
  const parts: YamlPart[] = [];
  const parser = new Parser(lines.addNewLine);
  // Keys are checked for uniqueness when an object is read: the library compares each with each.
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false });
  const add = (documents: Iterable<Document>): void => {
    for (const document of documents) parts.push({ type: 'document', document });
  };
  let tokens = 0;
  let errors = 0;
  const compose = (parsed: Iterable<CST.Token>): void => {
    for (const token of parsed) {
      if (token.type === 'error') errors++;
      add(composer.next(token));
    }
  };
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    compose(parser.next(lexeme));
    const excess = boundExceeded(parser.stack.length, ++tokens, errors);
    if (excess === undefined) continue;
    // What stands before the last `---` is whole; the document at hand is not.
    add(composer.end());
    return [...parts, { type: 'stopped', line: lines.linePos(parser.offset).line, ...excess }];
  }
  compose(parser.end());
  add(composer.end());
  return parts;
}

/** Called for each token, hence no object for its arguments. */
function boundExceeded(nesting: number, tokens: number, errors: number): { expected: string; got: string } | undefined {
  if (nesting > NESTING_MAX)
    return { expected: `at most ${NESTING_MAX} levels of nesting`, got: 'more; the rest is not read' };
  if (tokens > TOKENS_MAX)
    return { expected: `at most ${TOKENS_MAX} YAML tokens together`, got: 'more; the rest is not read' };
  if (errors > ERRORS_MAX)
    return { expected: 'YAML or JSON', got: `more than ${ERRORS_MAX} syntax errors; the rest is not read` };
  return undefined;
}
