import { unchanged } from '../../lib/unchanged.ts';
import type { Mismatch } from '../../model/problem.ts';
import type { Service, ServicePort } from '../../model/resource.ts';
import { objectKey } from '../../model/snapshot.ts';
import { type FrontendWishes, readFrontendWishes } from './annotations.ts';
import type { Parent } from './gateway-api.ts';
import type { Ref } from './refs.ts';
import { meshPorts, offersOf } from './service-ports.ts';

/** What a Service says by itself, before anything is known of what others say of it. */
export interface ServiceReading {
  readonly service: Service;
  /** `namespace/name` */
  readonly key: string;
  /** What its ports are to rules that name them. */
  readonly offers: ReadonlyMap<number, Ref>;
  /** Undefined: it is not in the mesh. */
  readonly frontend: FrontendReading | undefined;
}

export interface FrontendReading {
  readonly wishes: FrontendWishes;
  /** Those that are in the mesh, in the order of the manifest. */
  readonly ports: readonly ServicePort[];
  readonly parent: Parent;
  readonly mismatches: readonly Mismatch[];
}

/** By namespace and name: by two names and not by one made of both, which would be made and hashed each time. */
export type ByName<T> = ReadonlyMap<string, ReadonlyMap<string, T>>;

/** All Services as they read. */
export interface Readings {
  /** In their order. The same object as before where all of them are. */
  readonly all: ByName<ServiceReading>;
  /** Namespaces and names of those that came, went or read otherwise than before. */
  readonly changed: ReadonlyMap<string, ReadonlySet<string>>;
  /** None came, and none went. */
  readonly hasSameNames: boolean;
}

/**
 * Reads Services; one that is the same object (===) as before and stands as before is not read again.
 * @param isEnabled by its own word or by that of its Namespace.
 */
export function readServices(
  services: readonly Service[],
  isEnabled: (service: Service) => boolean,
  before: ByName<ServiceReading> | undefined,
): Readings {
  const all = new Map<string, Map<string, ServiceReading>>();
  const changed = new Map<string, Set<string>>();
  let kept = 0;
  for (const service of services) {
    const { namespace, name } = service;
    const known = before?.get(namespace)?.get(name);
    const enabled = isEnabled(service);
    const isSame = known?.service === service && (known.frontend !== undefined) === enabled;
    let inNamespace = all.get(namespace);
    if (inNamespace === undefined) all.set(namespace, (inNamespace = new Map()));
    inNamespace.set(name, isSame ? known : readService(service, enabled, known));
    if (known !== undefined) kept += 1;
    if (!isSame) add(changed, namespace, name);
  }
  const isLess = before !== undefined && kept < sizeOf(before);
  if (isLess)
    for (const [namespace, names] of before)
      for (const name of names.keys()) if (all.get(namespace)?.has(name) !== true) add(changed, namespace, name);
  return {
    all: before !== undefined && changed.size === 0 ? before : all,
    changed,
    hasSameNames: !isLess && kept === services.length,
  };
}

function add(changed: Map<string, Set<string>>, namespace: string, name: string): void {
  const names = changed.get(namespace);
  if (names === undefined) changed.set(namespace, new Set([name]));
  else names.add(name);
}

function sizeOf(all: ByName<ServiceReading>): number {
  return [...all.values()].reduce((sum, { size }) => sum + size, 0);
}

function readService(service: Service, enabled: boolean, before: ServiceReading | undefined): ServiceReading {
  const frontend = enabled ? readFrontend(service, before?.frontend) : undefined;
  const offers = before?.service === service ? before.offers : offersOf(service);
  return { service, key: objectKey(service), offers, frontend };
}

function readFrontend(service: Service, before: FrontendReading | undefined): FrontendReading {
  const { namespace, name } = service;
  const { wishes, mismatches } = readFrontendWishes(service);
  const { ports, mismatches: ofPorts } = meshPorts(service, wishes);
  const parent = { namespace, name, ports: ports.map((port) => ({ port: port.port, name: port.name })) };
  return { wishes, ports, parent: unchanged(parent, before?.parent), mismatches: [...mismatches, ...ofPorts] };
}
