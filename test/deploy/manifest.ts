/** What deploy/ holds, read as the tools for it read it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

const BASE = 'deploy/kustomize/base';
const OVERLAYS = ['deploy/kustomize/hostnetwork'];

export const MANIFEST = 'deploy/heddle.yaml';

const HEADER = `# Heddle, a service mesh without sidecars: one proxy on each node.
#   kubectl apply -f deploy/heddle.yaml     nothing changes for anybody before a Service is annotated
#   kubectl delete -f deploy/heddle.yaml    takes it all away again
# README.md, "On a cluster", goes on from here. Made from deploy/kustomize/base by "npm run manifest": change it there.
`;

export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface ClusterRole extends KubernetesObject {
  readonly rules: readonly Rule[];
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number };
}

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly seccompProfile?: { readonly type: string };
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly procMount?: string;
  readonly sysctls?: readonly unknown[];
}

export interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly hostPort?: number }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly resources: { readonly limits: Readonly<Record<string, string>> };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly terminationGracePeriodSeconds: number;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: SecurityContext;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container];
  readonly volumes: readonly Readonly<Record<string, unknown>>[];
}

export interface DaemonSet extends KubernetesObject {
  readonly spec: {
    readonly minReadySeconds: number;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly updateStrategy: {
      readonly rollingUpdate: { readonly maxSurge: number; readonly maxUnavailable: number };
    };
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      };
      readonly spec: PodSpec;
    };
  };
}

/** A step of a JSON patch (RFC 6902), in the three kinds that the overlays use. */
interface PatchStep {
  readonly op: 'add' | 'replace' | 'remove';
  /** A JSON Pointer (RFC 6901). */
  readonly path: string;
  readonly value?: unknown;
}

interface Kustomization {
  readonly resources: readonly string[];
  readonly patches?: readonly { readonly path: string; readonly target: { readonly kind: string } }[];
}

/** deploy/heddle.yaml, as it shall be: the files of the base with their comments. */
export function manifestText(): string {
  return (
    HEADER +
    kustomization(BASE)
      .resources.map((file) => `---\n${read(BASE, file)}`)
      .join('')
  );
}

/** The base and each overlay by its folder: the objects that `kubectl kustomize` makes of it. */
export function variants(): ReadonlyMap<string, readonly KubernetesObject[]> {
  return new Map([[BASE, objectsOf(manifestText())], ...OVERLAYS.map((folder) => [folder, overlaid(folder)] as const)]);
}

/** The objects of a YAML text; throws where it is no YAML. */
export function objectsOf(text: string): readonly KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return document.toJS() as KubernetesObject;
  });
}

/** The only object of that kind. */
export function only<T extends KubernetesObject>(objects: readonly KubernetesObject[], kind: T['kind']): T {
  const found = objects.filter((object) => object.kind === kind);
  if (found.length !== 1) throw new Error(`Expected one ${kind}, got ${found.length}`);
  return found[0] as T;
}

function overlaid(folder: string): readonly KubernetesObject[] {
  const { patches = [] } = kustomization(folder);
  return objectsOf(manifestText()).map((object) => {
    for (const patch of patches.filter(({ target }) => target.kind === object.kind)) {
      for (const step of parse(read(folder, patch.path)) as readonly PatchStep[]) apply(object, step);
    }
    return object;
  });
}

/** In place. Throws where the path leads nowhere, as kustomize does. */
function apply(object: object, { op, path: pointer, value }: PatchStep): void {
  const keys = pointer.split('/').slice(1);
  const last = keys.pop()!;
  const parent = keys.reduce<Record<string, unknown>>(
    (at, key) => (at as Record<string, Record<string, unknown>>)[key]!,
    object as Record<string, unknown>,
  );
  if (op !== 'add' && !(last in parent)) throw new Error(`Expected something to ${op} at ${pointer}, got nothing`);
  if (op === 'remove') delete parent[last];
  else parent[last] = value;
}

function kustomization(folder: string): Kustomization {
  return parse(read(folder, 'kustomization.yaml')) as Kustomization;
}

function read(folder: string, file: string): string {
  return readFileSync(path.join(folder, file), 'utf8');
}
