import { shown } from '../../lib/shown.ts';
import type { HeaderEdits, RequestEdits } from '../../model/routing.ts';

// Which lines of a head an owner may change, and how several wishes become one list of edits: for annotations and routes alike.

/** One wish about the lines of a name. */
export interface HeaderWish {
  /** `set`: the line stands in place of those that came. `add`: beside them. */
  readonly does: 'set' | 'add' | 'remove';
  readonly name: string;
  /** Of `set` and `add`. */
  readonly value: string;
}

/** What is wrong with a wish, and with which part of it. */
export interface HeaderRefusal {
  readonly part: 'name' | 'value';
  readonly expected: string;
  readonly got: string;
}

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^`|~\w-]{1,256}$/;
/** RFC 9110 section 5.5, of ASCII alone: what other octets mean is nowhere said. */
const VALUE = /^(?:[!-~](?:[\t -~]{0,4094}[!-~])?)?$/;

/** They frame a message or concern one hop (RFC 9110 section 7.6.1, RFC 9112 section 6), and the codec writes them. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Others believe them because the mesh alone writes them. */
const OF_THE_MESH: ReadonlySet<string> = new Set(['forwarded', 'traceparent', 'tracestate', 'via', 'x-request-id']);
const OF_THE_MESH_PREFIXES = ['x-forwarded-', 'x-heddle-', 'l5d-'] as const;

/** Whether a text can be the name of a field. */
export function isFieldName(text: string): boolean {
  return TOKEN.test(text);
}

/** Whether a text can be the value of a field. */
export function isFieldValue(text: string): boolean {
  return VALUE.test(text);
}

/** Why nobody may wish that; undefined: he may. */
export function headerRefusal({ does, name, value }: HeaderWish): HeaderRefusal | undefined {
  const expected = nameExpectation(name);
  if (expected !== undefined) return { part: 'name', expected, got: shown(name) };
  if (does === 'remove' || isFieldValue(value)) return undefined;
  return {
    part: 'value',
    expected: 'at most 4,096 visible ASCII characters, with spaces or tabs only between them',
    got: shown(value),
  };
}

function nameExpectation(name: string): string | undefined {
  if (!TOKEN.test(name)) return 'the name of a header (a token of at most 256 characters, RFC 9110 section 5.6.2)';
  // CGI and WSGI cannot tell x_heddle_id from x-heddle-id.
  const lower = name.toLowerCase().replaceAll('_', '-');
  if (lower === 'host') {
    return 'a header other than host (a route changes it by URLRewrite.hostname, an annotation by rewrite: host NAME)';
  }
  if (FRAMING.has(lower)) return 'a header that does not frame the message or concern one connection only';
  const isOurs = OF_THE_MESH.has(lower) || OF_THE_MESH_PREFIXES.some((prefix) => lower.startsWith(prefix));
  return isOurs ? 'a header that the mesh does not write by itself' : undefined;
}

/** What wishes without a refusal come to, one after the other. Undefined: nothing changes. */
export function editsOf(wishes: readonly HeaderWish[]): HeaderEdits | undefined {
  return wishes.reduce<HeaderEdits | undefined>((edits, { does, name, value }) => {
    const lower = name.toLowerCase();
    const drop = does === 'add' ? [] : [lower];
    const lines = does === 'remove' ? [] : ([[lower, value]] as const);
    return editsAfter(edits, { drop, lines });
  }, undefined);
}

/** Both as one, the second after the first. */
export function editsAfter(first: HeaderEdits | undefined, second: HeaderEdits | undefined): HeaderEdits | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const stay = first.lines.filter(([name]) => !second.drop.includes(name));
  return { drop: [...new Set([...first.drop, ...second.drop])], lines: [...stay, ...second.lines] };
}

/** The same for requests: where both say something of host or path, the second holds. */
export function requestEditsAfter(
  first: RequestEdits | undefined,
  second: RequestEdits | undefined,
): RequestEdits | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const host = second.host === '' ? first.host : second.host;
  return { ...editsAfter(first, second)!, host, path: second.path ?? first.path };
}
