import type { Origin, Problem } from '../../../model/problem.ts';
import { problemsWithin, readManifests, type Reading, type ReadObject } from '../manifest.ts';

/** More documents than this are not told apart: each costs a little, and a file can hold two million empty ones. */
const DOCUMENTS_MAX = 100_000;

/** What was read of the documents of a file, by their text; lines count from the first of each. */
export type Documents = ReadonlyMap<string, Reading>;

/**
 * Reads the manifests of a file, of which only those documents are parsed that were not in it before: parsing takes far
 * longer than all else between a change and its effect, and most changes touch one object of many.
 */
export function readDocuments(
  { file, text }: { file: string; text: string },
  before: Documents | undefined,
): { reading: Reading; documents: Documents } {
  const documents = new Map<string, Reading>();
  const objects: ReadObject[] = [];
  const problems: Problem[] = [];
  let whole = true;
  let lines = 0;
  for (const document of documentsOf(text)) {
    const reading = before?.get(document) ?? documents.get(document) ?? readManifests({ file, text: document });
    documents.set(document, reading);
    for (const one of reading.objects) objects.push({ ...one, object: shifted(one.object, lines) });
    for (const problem of reading.problems) problems.push(shifted(problem, lines));
    whole &&= reading.whole;
    lines += lineBreaks(document);
  }
  return { reading: { objects, problems: problemsWithin(file, problems), whole }, documents };
}

/**
 * Cuts a text before each line that begins a document. Such a line does so wherever it stands, within quotes too (YAML 1.2.2,
 * 9.1.2). Where directives or `...` are in the text, its parts do not stand for themselves.
 */
function documentsOf(text: string): readonly string[] {
  if (/(?:^|[\r\n])\ufeff?(?:%|\.\.\.)/.test(text)) return [text];
  const documents = text.split(/(?<=\n)(?=---(?:[ \t\r\n]|$))/, DOCUMENTS_MAX + 1);
  return documents.length > DOCUMENTS_MAX ? [text] : documents;
}

/** As the parser counts lines. */
function lineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

function shifted<T extends { readonly origin?: Origin }>(located: T, lines: number): T {
  const { origin } = located;
  if (origin === undefined || lines === 0) return located;
  const { file, line, fieldLines } = origin;
  if (fieldLines === undefined) return { ...located, origin: { file, line: line + lines } };
  const moved = Object.entries(fieldLines).map(([field, fieldLine]): [string, number] => [field, fieldLine + lines]);
  return { ...located, origin: { file, line: line + lines, fieldLines: Object.fromEntries(moved) } };
}
