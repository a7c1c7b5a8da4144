import { parseIp } from '../../lib/ip.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import {
  ANNOTATION_PREFIX,
  FOREIGN_PREFIXES,
  type ClusterNode,
  type EndpointSlice,
  type Namespace,
  type Pod,
  type Service,
  type ServicePort,
  type SliceEndpoint,
} from '../../model/resource.ts';
import { memberPath } from '../../lib/field-path.ts';

/** The resource, or `undefined` where a mismatch costs it or it is nothing to us; some mismatches cost a field only. */
export interface Trimmed<T> {
  readonly resource: T | undefined;
  /** What holds in place of one that is lost, where none was known before; undefined: nothing. */
  readonly instead?: T | undefined;
  readonly mismatches: readonly Mismatch[];
}

/** The API server takes null for absent and sends it too: `endpoints: null`. */
type Maybe<T> = T | null | undefined;

interface Metadata {
  readonly name: string;
  readonly namespace?: Maybe<string>;
  readonly labels?: Maybe<Readonly<Record<string, string>>>;
  /** Manifests may hold other things than text; each is a problem of its own. */
  readonly annotations?: Maybe<Readonly<Record<string, unknown>>>;
}

/** A v1 Service. */
export interface ServiceObject {
  readonly metadata: Metadata;
  readonly spec: {
    readonly type?: Maybe<Service['type']>;
    readonly externalName?: Maybe<string>;
    readonly clusterIP?: Maybe<string>;
    readonly clusterIPs?: Maybe<readonly string[]>;
    readonly ipFamilies?: Maybe<readonly string[]>;
    readonly publishNotReadyAddresses?: Maybe<boolean>;
    readonly internalTrafficPolicy?: Maybe<string>;
    readonly sessionAffinity?: Maybe<string>;
    readonly trafficDistribution?: Maybe<string>;
    readonly ports?: Maybe<
      readonly {
        readonly name?: Maybe<string>;
        readonly port: number;
        readonly protocol?: Maybe<ServicePort['protocol']>;
        readonly targetPort?: Maybe<number | string>;
        readonly appProtocol?: Maybe<string>;
      }[]
    >;
  };
}

/** A discovery.k8s.io/v1 EndpointSlice. */
export interface EndpointSliceObject {
  readonly metadata: Metadata;
  readonly addressType: string;
  readonly ports?: Maybe<
    readonly {
      readonly name?: Maybe<string>;
      readonly port?: Maybe<number>;
      readonly protocol?: Maybe<ServicePort['protocol']>;
    }[]
  >;
  readonly endpoints?: Maybe<readonly EndpointObject[]>;
}

interface EndpointObject {
  readonly addresses: readonly string[];
  readonly conditions?: Maybe<{
    readonly ready?: Maybe<boolean>;
    readonly serving?: Maybe<boolean>;
    readonly terminating?: Maybe<boolean>;
  }>;
  readonly nodeName?: Maybe<string>;
  readonly zone?: Maybe<string>;
  readonly hints?: Maybe<{
    readonly forNodes?: Maybe<readonly { readonly name: string }[]>;
    readonly forZones?: Maybe<readonly { readonly name: string }[]>;
  }>;
}

/** A v1 Namespace. */
export interface NamespaceObject {
  readonly metadata: Metadata;
}

/** A v1 Pod. */
export interface PodObject {
  readonly metadata: Metadata;
  readonly spec: { readonly serviceAccountName?: Maybe<string>; readonly hostNetwork?: Maybe<boolean> };
  readonly status?: Maybe<{
    readonly phase?: Maybe<string>;
    readonly podIP?: Maybe<string>;
    readonly podIPs?: Maybe<readonly { readonly ip?: Maybe<string> }[]>;
  }>;
}

/** A v1 Node. */
export interface NodeObject {
  readonly metadata: Metadata;
  readonly status?: Maybe<{
    readonly addresses?: Maybe<readonly { readonly type: string; readonly address: string }[]>;
  }>;
}

/** Kubernetes' limit for all annotations of one object together. */
const ANNOTATION_BYTES_MAX = 256 * 1024;
/** What each port costs, it costs again for each endpoint. Of a slice it is what the API allowed first. */
const SERVICE_PORTS_MAX = 1000;
const SLICE_PORTS_MAX = 100;
/** Of one object; an object without end must not make mismatches without end. */
export const MISMATCHES_MAX = 20;
/** What Kubernetes allows after the slash of an annotation's key. */
const QUALIFIED_NAME = /^[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?$/;
/** Names the Service of an EndpointSlice. */
export const SERVICE_LABEL = 'kubernetes.io/service-name';
const ZONE_LABEL = 'topology.kubernetes.io/zone';

const SERVICE_PREFIXES = [ANNOTATION_PREFIX, ...FOREIGN_PREFIXES];
const NAMESPACE_PREFIXES = [ANNOTATION_PREFIX];
/** One for all endpoints without hints. */
const NO_NAMES: readonly string[] = [];

/**
 * Of a Service of the API, what Heddle reads. This and the functions below believe the shape of what they get, which the API
 * server checks, and for manifests a schema (`trim.ts`). For other shapes they may throw: whoever calls them sees to it that an
 * object harms itself only. No library is needed here: a node that follows an API server loads nothing of what reads manifests.
 */
export function serviceOf({ metadata, spec }: ServiceObject): Trimmed<Service> {
  const type = spec.type ?? 'ClusterIP';
  const listed = firstPorts(spec.ports ?? [], 'spec.ports', SERVICE_PORTS_MAX);
  const ports = listed.ports.map(({ name, port, protocol, targetPort, appProtocol }) => ({
    name: name ?? '',
    port,
    protocol: protocol ?? 'TCP',
    targetPort: targetPort ?? port,
    appProtocol: appProtocol ?? '',
  }));
  const addresses = clusterIps(spec);
  const annotations = annotationsOf(metadata, SERVICE_PREFIXES);
  const mismatches = [...portMismatches(ports), ...addresses.mismatches];
  if (ports.length === 0 && type !== 'ExternalName' && !addresses.headless) {
    mismatches.push({
      field: 'spec.ports',
      expected: 'at least one port (only headless and ExternalName Services may have none)',
      got: 'none',
    });
  }
  if (annotations.excess !== undefined) mismatches.push(annotations.excess);
  if (mismatches.length > 0) return lost(mismatches);
  const resource: Service = {
    namespace: namespaceIn(metadata),
    name: metadata.name,
    annotations: annotations.values,
    type,
    externalName: type === 'ExternalName' ? (spec.externalName ?? '') : '',
    headless: addresses.headless,
    clusterIps: addresses.clusterIps,
    family: familyOf(spec.ipFamilies?.[0], addresses.clusterIps[0]),
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    internalTrafficPolicy: spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    sessionAffinity: spec.sessionAffinity === 'ClientIP' ? 'ClientIP' : 'None',
    trafficDistribution: spec.trafficDistribution ?? '',
    ports,
  };
  return { resource, mismatches: [...listed.mismatches, ...annotations.mismatches].slice(0, MISMATCHES_MAX) };
}

/** Of an EndpointSlice, what Heddle reads. One without the label of a Service belongs to none, and is nothing to us. */
export function endpointSliceOf({ metadata, addressType, ...slice }: EndpointSliceObject): Trimmed<EndpointSlice> {
  const service = metadata.labels?.[SERVICE_LABEL] ?? '';
  if (service === '') return { resource: undefined, mismatches: [] };
  if (addressType !== 'IPv4' && addressType !== 'IPv6')
    return lost([{ field: 'addressType', expected: 'IPv4 or IPv6', got: shown(addressType) }]);
  const wrongAddresses: Mismatch[] = [];
  const endpoints = (slice.endpoints ?? []).map((endpoint, index): SliceEndpoint => {
    const { conditions, hints } = endpoint;
    // "No semantics are defined for additional addresses beyond the first" (Endpoint of discovery.k8s.io/v1).
    const [text = ''] = endpoint.addresses;
    const ip = parseIp(text);
    if (ip?.family !== addressType) {
      const field = `endpoints[${index}].addresses[0]`;
      wrongAddresses.push({ field, expected: `an ${addressType} address`, got: shown(text) });
    }
    // Absent means: ready, serving as much as ready, not terminating (EndpointConditions of discovery.k8s.io/v1).
    const ready = conditions?.ready ?? true;
    return {
      address: ip?.address ?? text,
      ready,
      serving: conditions?.serving ?? ready,
      terminating: conditions?.terminating ?? false,
      nodeName: endpoint.nodeName ?? '',
      zone: endpoint.zone ?? '',
      forNodes: namesOf(hints?.forNodes),
      forZones: namesOf(hints?.forZones),
    };
  });
  if (wrongAddresses.length > 0) return lost(wrongAddresses);
  const listed = firstPorts(slice.ports ?? [], 'ports', SLICE_PORTS_MAX);
  const mismatches: Mismatch[] = [...listed.mismatches];
  const ports: EndpointSlice['ports'][number][] = [];
  for (const [index, { name, port, protocol }] of listed.ports.entries()) {
    // Slices that others than Kubernetes make may leave it open (EndpointPort of discovery.k8s.io/v1).
    if (typeof port === 'number') ports.push({ name: name ?? '', port, protocol: protocol ?? 'TCP' });
    else mismatches.push({ field: `ports[${index}].port`, expected: 'a port number', got: 'nothing' });
  }
  const { name } = metadata;
  const resource: EndpointSlice = { namespace: namespaceIn(metadata), name, service, addressType, ports, endpoints };
  return { resource, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

/** Of a Namespace, what Heddle reads. */
export function namespaceOf({ metadata }: NamespaceObject): Trimmed<Namespace> {
  const { values, mismatches, excess } = annotationsOf(metadata, NAMESPACE_PREFIXES);
  if (excess !== undefined) return lost([excess]);
  return { resource: { name: metadata.name, annotations: values }, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

/** Of a Pod, what Heddle reads. */
export function podOf({ metadata, spec, status }: PodObject): Trimmed<Pod> {
  const ips = status?.podIPs ?? [];
  const texts = ips.length > 0 ? ips.map(({ ip }) => ip ?? '') : [status?.podIP ?? ''];
  const { addresses, mismatches } = readAddresses(texts, (index) =>
    ips.length > 0 ? `status.podIPs[${index}].ip` : 'status.podIP',
  );
  const resource: Pod = {
    namespace: namespaceIn(metadata),
    name: metadata.name,
    serviceAccount: spec.serviceAccountName ?? '',
    labels: metadata.labels ?? {},
    addresses,
    hostNetwork: spec.hostNetwork ?? false,
    // Only these two phases are final (pod lifecycle); a pod that is deleted keeps its addresses until it ended.
    ended: status?.phase === 'Succeeded' || status?.phase === 'Failed',
  };
  return { resource, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

/** Of a Node, what Heddle reads. */
export function nodeOf({ metadata, status }: NodeObject): Trimmed<ClusterNode> {
  // Other types are names, or addresses that are reached from outside of the cluster.
  const texts = (status?.addresses ?? []).map(({ type, address }) => (type === 'InternalIP' ? address : ''));
  const { addresses, mismatches } = readAddresses(texts, (index) => `status.addresses[${index}].address`);
  const zone = metadata.labels?.[ZONE_LABEL] ?? '';
  return { resource: { name: metadata.name, zone, addresses }, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

function lost(mismatches: readonly Mismatch[]): Trimmed<never> {
  return { resource: undefined, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

/** As kubectl does where a manifest names none; the API server always names one. */
function namespaceIn({ namespace }: Metadata): string {
  return namespace ?? 'default';
}

function namesOf(hints: Maybe<readonly { readonly name: string }[]>): readonly string[] {
  return hints?.map(({ name }) => name) ?? NO_NAMES;
}

/** Canonical addresses of the texts that are not empty; one that is none costs itself only. */
function readAddresses(
  texts: readonly string[],
  fieldAt: (index: number) => string,
): { addresses: readonly string[]; mismatches: Mismatch[] } {
  const addresses: string[] = [];
  const mismatches: Mismatch[] = [];
  for (const [index, text] of texts.entries()) {
    if (text === '') continue;
    const ip = parseIp(text);
    if (ip === undefined) mismatches.push({ field: fieldAt(index), expected: 'an IP address', got: shown(text) });
    else addresses.push(ip.address);
  }
  return { addresses, mismatches };
}

/** The first ports of a list, and what is to be told where it has more. */
function firstPorts<T>(
  ports: readonly T[],
  field: string,
  max: number,
): { ports: readonly T[]; mismatches: Mismatch[] } {
  if (ports.length <= max) return { ports, mismatches: [] };
  const expected = `a list of at most ${max} ports (the rest gets nothing)`;
  return { ports: ports.slice(0, max), mismatches: [{ field, expected, got: `a list of ${ports.length}` }] };
}

/** An API server fills in the families; manifests may leave them out. */
function familyOf(given: Maybe<string>, clusterIp: string | undefined): Service['family'] {
  if (given === 'IPv4' || given === 'IPv6') return given;
  return clusterIp?.includes(':') ? 'IPv6' : 'IPv4';
}

function clusterIps(spec: ServiceObject['spec']): {
  clusterIps: string[];
  headless: boolean;
  mismatches: Mismatch[];
} {
  const clusterIP = spec.clusterIP ?? '';
  const several = spec.clusterIPs ?? [];
  const texts = several.length > 0 ? several : [clusterIP];
  const given = texts.filter((text) => text !== '' && text !== 'None');
  const mismatches: Mismatch[] = [];
  const addresses = given.map((text) => {
    const ip = parseIp(text);
    const field = several.length > 0 ? `spec.clusterIPs[${texts.indexOf(text)}]` : 'spec.clusterIP';
    if (ip === undefined) mismatches.push({ field, expected: 'an IP address or None', got: shown(text) });
    return ip?.address ?? text;
  });
  return { clusterIps: addresses, headless: texts.includes('None') || clusterIP === 'None', mismatches };
}

/** What Kubernetes asks of the ports of a Service together: several have names, no name twice, no number twice. */
function portMismatches(ports: readonly ServicePort[]): Mismatch[] {
  const mismatches: Mismatch[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, { name, port, protocol }] of ports.entries()) {
    if (name === '' && ports.length > 1) {
      mismatches.push({
        field: `spec.ports[${index}].name`,
        expected: 'a name, because there are several ports',
        got: shown(undefined),
      });
    } else if (names.has(name)) {
      mismatches.push({
        field: `spec.ports[${index}].name`,
        expected: 'each port name once',
        got: `${shown(name)} again`,
      });
    }
    if (numbers.has(`${port}/${protocol}`)) {
      mismatches.push({
        field: `spec.ports[${index}].port`,
        expected: 'each port and protocol once',
        got: `${port}/${protocol} again`,
      });
    }
    names.add(name);
    numbers.add(`${port}/${protocol}`);
  }
  return mismatches;
}

/** Annotations under some prefixes; each that is wrong costs itself only, unless all together are too large (`excess`). */
function annotationsOf(
  { annotations }: Metadata,
  prefixes: readonly string[],
): { values: Record<string, string>; mismatches: Mismatch[]; excess: Mismatch | undefined } {
  const values: [string, string][] = [];
  const mismatches: Mismatch[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
    const prefix = prefixes.find((one) => key.startsWith(one));
    if (prefix === undefined) continue;
    const field = memberPath('metadata.annotations', key);
    if (!QUALIFIED_NAME.test(key.slice(prefix.length))) {
      const expected = `${prefix} and at most 63 of A-Z, a-z, 0-9, -, _ and ., a letter or digit at both ends`;
      mismatches.push({ field, expected, got: shown(key) });
    } else if (typeof value === 'string') values.push([key, value]);
    else mismatches.push({ field, expected: 'text (in YAML: in quotes)', got: shown(value) });
  }
  const excess = {
    field: 'metadata.annotations',
    expected: `at most ${ANNOTATION_BYTES_MAX} bytes of annotations`,
    got: String(bytes),
  };
  return { values: Object.fromEntries(values), mismatches, excess: bytes > ANNOTATION_BYTES_MAX ? excess : undefined };
}
