import { unchanged } from '../../lib/unchanged.ts';
import { DEFAULT_BACKEND_POLICY } from '../../model/resilience.ts';
import type { BackendId } from '../../model/snapshot.ts';
import type { CompiledBackend } from './candidates.ts';
import { parseSubjectTarget } from './message-annotations.ts';
import type { Asked } from './refs.ts';

/** Ports of Services, sorted, by namespace and name. */
export type NamedPorts = ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>;

/** The ports that rules in force name and that have a backend. */
export function namedPorts(asked: readonly (readonly Asked[])[]): NamedPorts {
  const named = new Map<string, Map<string, number[]>>();
  for (const some of asked)
    for (const { kind, namespace, name, port, answer } of some) {
      if (kind !== 'Service' || !('backend' in answer)) continue;
      let inNamespace = named.get(namespace);
      if (inNamespace === undefined) named.set(namespace, (inNamespace = new Map()));
      const ports = inNamespace.get(name);
      if (ports === undefined) inNamespace.set(name, [port]);
      else if (!ports.includes(port)) ports.push(port);
    }
  for (const inNamespace of named.values())
    for (const ports of inNamespace.values()) if (ports.length > 1) ports.sort((a, b) => a - b);
  return named;
}

/** The backends of subjects that rules in force name. Equal ones are the same objects as before. */
export function namedSubjects(
  asked: readonly (readonly Asked[])[],
  before: readonly CompiledBackend[] | undefined,
): readonly CompiledBackend[] {
  const named = new Map<BackendId, CompiledBackend>();
  const known = new Map(before?.map((backend) => [backend.id, backend]));
  for (const some of asked)
    for (const { kind, namespace, name, answer } of some) {
      if (kind !== 'Subject' || !('backend' in answer) || named.has(answer.backend)) continue;
      const backend = subjectBackend(answer.backend, namespace, name);
      if (backend !== undefined) named.set(answer.backend, unchanged(backend, known.get(answer.backend)));
    }
  return [...named.values()];
}

function subjectBackend(id: BackendId, namespace: string, text: string): CompiledBackend | undefined {
  const subject = parseSubjectTarget(text);
  if (subject === undefined || !('template' in subject)) return undefined;
  return {
    id,
    namespace,
    name: id.slice(namespace.length + 1),
    port: 0,
    subject,
    session: undefined,
    policy: DEFAULT_BACKEND_POLICY,
    locality: 'any',
    internalTrafficPolicy: 'Cluster',
    family: 'any',
    candidates: [],
  };
}
