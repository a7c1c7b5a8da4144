import type { HeaderEdits } from '../../model/routing.ts';
import { FIELD, fieldKind, hashStep, kinds, TOKEN, VALUE } from './fields.ts';

/**
 * Edits of header lines in the form that a codec obeys without a string. Lines that frame a message, concern one hop or are the
 * mesh's own stay as they are, and malformed ones are not written: compile refuses such edits with a reason, and this holds
 * whatever it lets through.
 */
export class LineEdits {
  /** Kinds of fields that do not go on, as bits. */
  readonly kinds: number;
  /** Lower-case names of fields of no kind of their own that do not go on. */
  readonly names: readonly Buffer[];
  /** Lines that are added, with their ends. */
  readonly lines: Buffer;

  constructor({ drop, lines }: HeaderEdits) {
    const dropped = drop.map((name) => name.toLowerCase()).filter(mayEdit);
    // A kind that stands for several names is not dropped as a whole.
    this.kinds = kinds(...dropped.map(kindOf).filter((kind) => has(ALONE, kind)));
    this.names = dropped.filter((name) => !has(ALONE, kindOf(name))).map((name) => Buffer.from(name, 'latin1'));
    const added = lines.filter(([name, value]) => mayEdit(name.toLowerCase()) && isValue(value));
    this.lines = Buffer.from(added.map(([name, value]) => `${name}: ${value}\r\n`).join(''), 'latin1');
  }
}

/** Kinds that are one name. */
const ALONE = kinds(FIELD.contentType, FIELD.proxyAuthorization);
/** A kind that is not here frames a message, concerns one hop (RFC 9110 section 7.6.1) or is written by the mesh alone. */
const EDITABLE = ALONE | kinds(FIELD.other, FIELD.underscore, FIELD.notInTrailers);

/** @param name lower-case. CGI and WSGI cannot tell an underscore in it from a hyphen. */
function mayEdit(name: string): boolean {
  if (name === '' || name === 'trailer' || !isMadeOf(TOKEN, name)) return false;
  return has(EDITABLE, kindOf(name.replaceAll('_', '-')));
}

/** RFC 9110 section 5.5. */
function isValue(text: string): boolean {
  return isMadeOf(VALUE, text);
}

function isMadeOf(table: Uint8Array, text: string): boolean {
  for (let index = 0; index < text.length; index++) if (!table[text.charCodeAt(index)]) return false;
  return true;
}

/** @param name lower-case. */
function kindOf(name: string): number {
  const bytes = Buffer.from(name, 'latin1');
  return fieldKind(bytes, 0, bytes.length, bytes.reduce(hashStep, 0));
}

function has(set: number, kind: number): boolean {
  return ((set >> kind) & 1) === 1;
}
