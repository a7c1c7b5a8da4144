import { isScalar, isSeq, type Node } from 'yaml';
import { shown } from '../../lib/shown.ts';
import { problemOf, type Mismatch, type Origin, type Problem } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, FOREIGN_PREFIXES, objectName } from '../../model/resource.ts';
import { API_KINDS, apiVersionsOf, type ObjectOf } from './api-kinds.ts';
import { DocumentReader, lineOf, Unreadable, type Entry, type Located } from './located.ts';
import { type Kind, TRIM } from './trim.ts';
import { parseYaml } from './yaml.ts';

/** An object of any kind that is read. */
export interface ReadObject {
  readonly kind: Kind;
  readonly object: ObjectOf<Kind>;
  /** It stands for one that could not be read: one that is known from before is better. */
  readonly instead?: true;
}

/** What was read of one file, and what could not be. Plain data: it crosses processes. */
export interface Reading {
  /** As they follow each other in the file. */
  readonly objects: readonly ReadObject[];
  readonly problems: readonly Problem[];
  /** False when something in the file could not be read, and may have been an object. */
  readonly whole: boolean;
}

const KINDS = Object.keys(TRIM) as readonly Kind[];
/** API versions of the kinds that are read, and of lists of them. */
const API_VERSIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['List', ['v1']],
  ...KINDS.flatMap((kind): [string, readonly string[]][] => [
    [kind, apiVersionsOf(kind)],
    [`${kind}List`, apiVersionsOf(kind)],
  ]),
]);
/** API groups of these versions, which are `GROUP/VERSION`, or a version alone in the group without a name. */
const GROUPS: ReadonlySet<string> = new Set([...API_VERSIONS.values()].flat().map(groupOf));

/** `httproute` is one that is read, with the wrong capitals: an API server would not know it. */
const KINDS_BY_LETTERS: ReadonlyMap<string, Kind> = new Map(KINDS.map((kind) => [kind.toLowerCase(), kind]));

/** Lists within lists are flattened to this depth; an alias could make a list that contains itself. */
const LISTS_MAX = 5;
const PROBLEMS_MAX = 1000;

/** Fields that compile may complain about, beside annotations; their lines are kept. */
const ALL_OF_SPEC = /^spec/;
const KEPT_LINES: { readonly [K in Kind]?: RegExp } = {
  Service: /^spec\.(?:type|externalName|trafficDistribution|ports\[\d+\]\.appProtocol)$/,
  EndpointSlice: /^endpoints\[\d+\]\.addresses\[\d+\]$/,
  Subscription: ALL_OF_SPEC,
  NatsPolicy: ALL_OF_SPEC,
  HTTPRoute: ALL_OF_SPEC,
  GRPCRoute: ALL_OF_SPEC,
  ReferenceGrant: ALL_OF_SPEC,
  TrafficSplit: ALL_OF_SPEC,
  HTTPRouteGroup: /^(?:spec|matches)/,
};
const ANNOTATION_PATHS = [ANNOTATION_PREFIX, ...FOREIGN_PREFIXES].map((prefix) => `metadata.annotations["${prefix}`);

/** Reads Kubernetes manifests: a text of any number of documents. */
export function readManifests({ file, text }: { file: string; text: string }): Reading {
  const { parts, lineAt } = parseYaml(text);
  const reading = new ReadingOfFile(file);
  for (const part of parts) {
    if (part.type === 'stopped') {
      reading.lose(part.line, part);
      continue;
    }
    const { errors, contents } = part.document;
    if (errors[0] === undefined)
      reading.add(new DocumentReader(part.document, lineAt), contents, { kind: undefined, lists: 0 });
    else reading.lose(lineAt(errors[0].pos[0]), { expected: 'YAML or JSON', got: shown(errors[0].message) });
  }
  return reading.result;
}

/** Problems of one file, cut where they are too many. */
export function problemsWithin(file: string, problems: readonly Problem[]): readonly Problem[] {
  const over = problems[PROBLEMS_MAX];
  if (over === undefined) return problems;
  const mismatch = {
    field: '',
    expected: `at most ${PROBLEMS_MAX} problems in one file`,
    got: 'more, not listed here',
  };
  return [...problems.slice(0, PROBLEMS_MAX), problemOf(file, mismatch, over.origin)];
}

/** What is around a node: the kind of the list's items, if it has one, and how many lists. */
interface Surroundings {
  readonly kind: string | undefined;
  readonly lists: number;
}

/** What a file has wrong in one place; without an object it is the file's. */
type Wrong = Omit<Mismatch, 'field'> & { readonly object?: string; readonly field?: string };

class ReadingOfFile {
  readonly #file: string;
  readonly #objects: ReadObject[] = [];
  readonly #problems: Problem[] = [];
  #whole = true;

  constructor(file: string) {
    this.#file = file;
  }

  get result(): Reading {
    return {
      objects: this.#objects,
      problems: problemsWithin(this.#file, this.#problems),
      whole: this.#whole,
    };
  }

  /** What could not be read, and may have been an object. */
  lose(line: number, wrong: Wrong): void {
    this.#whole = false;
    this.#tell(line, wrong);
  }

  #tell(line: number, { object = this.#file, field = '', expected, got }: Wrong): void {
    // One more than are told shows that there are more.
    if (this.#problems.length > PROBLEMS_MAX) return;
    this.#problems.push(problemOf(object, { field, expected, got }, { file: this.#file, line }));
  }

  /** Adds what a node holds: one object, the items of a list, or nothing. What cannot be read harms itself only. */
  add(reader: DocumentReader, node: Node | null, around: Surroundings): void {
    try {
      this.#add(reader, node, around);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      this.lose(error.line, error);
    }
  }

  #add(reader: DocumentReader, node: Node | null, around: Surroundings): void {
    const members = reader.entries(node);
    if (members === undefined) {
      const value = isScalar(node) ? node.value : [];
      if (value !== null) this.lose(reader.line(node), { expected: 'a Kubernetes object', got: shown(value) });
      return;
    }
    const kind = scalar(reader, members.get('kind')) ?? around.kind;
    if (typeof kind !== 'string') {
      const line = members.get('kind')?.line ?? reader.line(node);
      this.lose(line, { field: 'kind', expected: 'the kind of a Kubernetes object', got: shown(kind) });
      return;
    }
    const expected = API_VERSIONS.get(kind);
    if (expected === undefined) {
      const meant = KINDS_BY_LETTERS.get(kind.toLowerCase());
      const apiVersion = scalar(reader, members.get('apiVersion'));
      if (meant !== undefined && apiVersionsOf(meant).some((version) => version === apiVersion))
        this.lose(members.get('kind')?.line ?? reader.line(node), { field: 'kind', expected: meant, got: shown(kind) });
      return;
    }
    // The items of an API server's answer do not say what they are: their list does.
    const apiVersion =
      scalar(reader, members.get('apiVersion')) ?? (around.kind === undefined ? undefined : expected[0]);
    if (!expected.some((version) => version === apiVersion)) {
      // A Service of another API group (Knative has one) is another kind.
      if (typeof apiVersion === 'string' && !GROUPS.has(groupOf(apiVersion))) return;
      const line = members.get('apiVersion')?.line ?? reader.line(node);
      this.lose(line, {
        object: kind,
        field: 'apiVersion',
        expected: expected.join(' or '),
        got: shown(apiVersion),
      });
    } else if (isKind(kind)) this.#take(kind, reader.read(node));
    else
      this.#addItems(reader, members.get('items'), {
        kind: kind.slice(0, -'List'.length) || undefined,
        lists: around.lists + 1,
      });
  }

  #addItems(reader: DocumentReader, items: Entry | undefined, around: Surroundings): void {
    if (items === undefined) return;
    const node = reader.resolve(items.node);
    if (node === null || (isScalar(node) && node.value === null)) return;
    const object = `${around.kind ?? ''}List`;
    if (!isSeq<Node | null>(node)) {
      this.lose(items.line, {
        object,
        field: 'items',
        expected: 'a list',
        got: isScalar(node) ? shown(node.value) : shown({}),
      });
    } else if (around.lists > LISTS_MAX) {
      this.lose(items.line, {
        object,
        field: 'items',
        expected: `at most ${LISTS_MAX} lists within each other`,
        got: 'more',
      });
    } else {
      for (const item of node.items) this.add(reader, item, around);
    }
  }

  #take(kind: Kind, located: Located): void {
    const { resource, instead, mismatches } = TRIM[kind](located.value);
    const name = nameOf(kind, located);
    for (const mismatch of mismatches) this.#tell(lineOf(located, mismatch.field), { object: name, ...mismatch });
    if (resource === undefined) this.#whole = false;
    const object = resource ?? instead;
    if (object === undefined) return;
    const stands = resource === undefined ? { instead: true as const } : {};
    this.#objects.push({ kind, object: { ...object, origin: this.#origin(kind, located) }, ...stands });
  }

  #origin(kind: Kind, { lines }: Located): Origin {
    const kept = [...lines].filter(
      ([field]) =>
        KEPT_LINES[kind]?.test(field) === true ||
        (field.endsWith('"]') && ANNOTATION_PATHS.some((path) => field.startsWith(path))),
    );
    return { file: this.#file, line: lines.get('') ?? 1, fieldLines: Object.fromEntries(kept) };
  }
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(TRIM, kind);
}

function groupOf(apiVersion: string): string {
  return apiVersion.slice(0, Math.max(0, apiVersion.lastIndexOf('/')));
}

/** How problems call an object that may be none. */
function nameOf(kind: Kind, { value }: Located): string {
  const { name, namespace } = (value as { metadata?: { name?: unknown; namespace?: unknown } | null }).metadata ?? {};
  return objectName(kind, {
    name: plainName(name),
    ...(API_KINDS[kind].scope === 'namespace' && { namespace: plainName(namespace ?? 'default') }),
  });
}

function scalar(reader: DocumentReader, member: Entry | undefined): unknown {
  const node = reader.resolve(member?.node ?? null);
  return isScalar(node) ? (node.value ?? undefined) : (node ?? undefined);
}

/** Names in problems are shown as they are, unless they are none. */
function plainName(name: unknown): string {
  return typeof name === 'string' && /^[\w.-]{1,253}$/.test(name) ? name : '?';
}
