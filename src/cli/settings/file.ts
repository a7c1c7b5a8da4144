import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node } from 'yaml';

/** One `name: value` of a settings file. */
export interface FileEntry {
  readonly name: string;
  /** The value as it is written; several for a YAML list. */
  readonly texts: readonly string[];
  /** `heddle.yaml:3: limit-head`, as error messages name it. */
  readonly place: string;
}

interface FileContent {
  /** `undefined` when the file is not a mapping at all. */
  readonly entries: readonly FileEntry[] | undefined;
  readonly errors: readonly string[];
}

/** A settings file is one flat YAML mapping. Values stay text here: the table of settings says what they must be. */
export function readSettingsFile({ path, text }: { path: string; text: string }): FileContent {
  const lines = new LineCounter();
  const at = (offset: number): string => `${path}:${lines.linePos(offset).line}`;
  const document = parseDocument<Node>(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return {
      entries: undefined,
      errors: document.errors.map((error) => `${at(error.pos[0])}: Expected YAML: ${error.message}`),
    };
  }
  const root = document.contents;
  if (root === null) return { entries: [], errors: [] };
  if (!isMap<Node, Node | null>(root))
    return { entries: undefined, errors: [`${path}:1: Expected lines of the form "name: value"`] };

  const entries: FileEntry[] = [];
  const errors: string[] = [];
  for (const { key, value } of root.items) {
    const place = `${at(key.range?.[0] ?? 0)}: ${String(isScalar(key) ? key.value : key)}`;
    const texts = valueTexts(value);
    if (!isScalar(key)) errors.push(`${place}: Expected the name of a setting`);
    else if (texts === undefined) errors.push(`${place}: Expected a value, or a list of values`);
    else entries.push({ name: String(key.value), texts, place });
  }
  return { entries, errors };
}

function valueTexts(value: Node | null): readonly string[] | undefined {
  const items = isSeq<Node>(value) ? value.items : [value];
  const texts = items.map((item) =>
    isScalar(item) && item.value !== null ? scalarText(item.source, item.value) : undefined,
  );
  return texts.some((text) => text === undefined) ? undefined : (texts as string[]);
}

/** As written, so that a message shows `0x10` and not 16. */
function scalarText(source: string | undefined, value: unknown): string {
  return typeof value === 'string' ? value : (source ?? String(value));
}
