import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch, Problem } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, type Namespace, objectName, type Service } from '../../model/resource.ts';
import { annotationField, MISMATCHES_MAX, problemsOf } from './mismatches.ts';

/** What the owner of a Namespace wishes for all its Services. */
export interface NamespaceWishes {
  readonly namespace: Namespace;
  readonly enabled: boolean;
  readonly problems: readonly Problem[];
}

const ENABLED = `${ANNOTATION_PREFIX}enabled`;
/** Known, and not yet obeyed. */
const WEIGHT = `${ANNOTATION_PREFIX}weight`;

/**
 * Whether a Service is in the mesh: its own word, else that of its Namespace. What is no word counts as absent.
 * @param namespaces by name.
 */
export function isEnabled(service: Service, namespaces: ReadonlyMap<string, Pick<Namespace, 'annotations'>>): boolean {
  const own = enabledOf(service.annotations);
  if (own !== undefined) return own;
  const namespace = namespaces.get(service.namespace);
  return namespace !== undefined && enabledOf(namespace.annotations) === true;
}

/** Undefined where the annotation is absent, or neither `true` nor `false`. */
export function enabledOf(annotations: Readonly<Record<string, string>>): boolean | undefined {
  const value = annotations[ENABLED];
  if (value === 'true') return true;
  return value === 'false' ? false : undefined;
}

/** What each Namespace wishes, by its name and in its order; one that is the same object (===) as before is not read again. */
export function readNamespaces(
  namespaces: readonly Namespace[],
  before: ReadonlyMap<string, NamespaceWishes> | undefined,
): ReadonlyMap<string, NamespaceWishes> {
  return new Map(
    namespaces
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((namespace) => {
        const known = before?.get(namespace.name);
        return [namespace.name, known?.namespace === namespace ? known : readNamespace(namespace)];
      }),
  );
}

function readNamespace(namespace: Namespace): NamespaceWishes {
  const { name, annotations, origin } = namespace;
  const mismatches: Mismatch[] = [];
  for (const [key, value] of Object.entries(annotations)) {
    if (mismatches.length >= MISMATCHES_MAX) break;
    const mismatch = mismatchOf(key, value);
    if (mismatch !== undefined) mismatches.push({ field: annotationField(key), ...mismatch });
  }
  return {
    namespace,
    enabled: enabledOf(annotations) === true,
    problems: problemsOf(objectName('Namespace', { name }), mismatches, origin),
  };
}

function mismatchOf(key: string, value: string): Omit<Mismatch, 'field'> | undefined {
  if (key === ENABLED) {
    return value === 'true' || value === 'false' ? undefined : { expected: '"true" or "false"', got: shown(value) };
  }
  if (key === WEIGHT) {
    return { expected: `a key that this version obeys (${WEIGHT} is known, but not yet obeyed)`, got: shown(value) };
  }
  const near = nearest(key.slice(ANNOTATION_PREFIX.length), ['enabled', 'weight']);
  const hint =
    near === undefined ? `all but ${ENABLED} belong on Services` : `the nearest is ${ANNOTATION_PREFIX}${near}`;
  return { expected: `a key that a Namespace may have (${hint})`, got: shown(key) };
}
