import { parseIp } from '../../lib/ip.ts';
import { shown } from '../../lib/shown.ts';
import type { EndpointSlice, Service, ServicePort } from '../../model/resource.ts';
import { memberPath } from './located.ts';
import {
  ANNOTATION_BYTES_MAX,
  endpointSliceSchema,
  FAULTS_MAX,
  serviceSchema,
  shape,
  type Fault,
  type ServiceObject,
} from './schema.ts';

/** The object, or `undefined` where a fault costs it; some faults cost a field only. */
export interface Trimmed<T> {
  readonly resource: T | undefined;
  readonly faults: readonly Fault[];
}

const ANNOTATION_PREFIX = 'heddle.dev/';
/** What Kubernetes allows after the slash of an annotation's key. */
const QUALIFIED_NAME = /^[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?$/;
const SERVICE_LABEL = 'kubernetes.io/service-name';

const shapeOfService = shape(serviceSchema);
const shapeOfEndpointSlice = shape(endpointSliceSchema);

/** Of a v1 Service, what Heddle reads. */
export function trimService(raw: unknown): Trimmed<Service> {
  const shaped = shapeOfService(raw);
  if ('faults' in shaped) return { resource: undefined, faults: shaped.faults };
  const { metadata, spec } = shaped.value;
  const type = spec.type ?? 'ClusterIP';
  const ports = (spec.ports ?? []).map(({ name = '', port, protocol = 'TCP', targetPort = port }) => ({
    name,
    port,
    protocol,
    targetPort,
  }));
  const addresses = clusterIps(spec);
  const faults = [...portFaults(ports), ...addresses.faults];
  if (ports.length === 0 && type !== 'ExternalName' && !addresses.headless) {
    faults.push({
      field: 'spec.ports',
      expected: 'at least one port (only headless and ExternalName Services may have none)',
      got: 'none',
    });
  }
  const annotations = readAnnotations(
    (raw as { metadata: { annotations?: Record<string, unknown> | null } }).metadata.annotations ?? {},
  );
  if (annotations.bytes > ANNOTATION_BYTES_MAX) {
    faults.push({
      field: 'metadata.annotations',
      expected: `at most ${ANNOTATION_BYTES_MAX} bytes of annotations`,
      got: String(annotations.bytes),
    });
  }
  if (faults.length > 0) return { resource: undefined, faults: faults.slice(0, FAULTS_MAX) };
  const resource: Service = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    annotations: annotations.values,
    type,
    clusterIps: addresses.clusterIps,
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    ports,
  };
  return { resource, faults: annotations.faults.slice(0, FAULTS_MAX) };
}

/** Of a discovery.k8s.io/v1 EndpointSlice, what Heddle reads. */
export function trimEndpointSlice(raw: unknown): Trimmed<EndpointSlice> {
  const shaped = shapeOfEndpointSlice(raw);
  if ('faults' in shaped) return { resource: undefined, faults: shaped.faults };
  const { metadata, addressType, ports = [], endpoints = [] } = shaped.value;
  const faults: Fault[] = [];
  const resource: EndpointSlice = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    service: metadata.labels[SERVICE_LABEL],
    addressType,
    ports: ports.map(({ name = '', port, protocol = 'TCP' }) => ({ name, port, protocol })),
    // Absent means: ready, serving as much as ready, not terminating (EndpointConditions of discovery.k8s.io/v1).
    endpoints: endpoints.map(
      ({ addresses, conditions: { ready = true, serving, terminating = false } = {} }, index) => ({
        addresses: addresses.map((text, position) => {
          const ip = parseIp(text);
          if (ip?.family === addressType) return ip.address;
          faults.push({
            field: `endpoints[${index}].addresses[${position}]`,
            expected: `an ${addressType} address`,
            got: shown(text),
          });
          return text;
        }),
        ready,
        serving: serving ?? ready,
        terminating,
      }),
    ),
  };
  return faults.length === 0 ? { resource, faults } : { resource: undefined, faults: faults.slice(0, FAULTS_MAX) };
}

function clusterIps({ clusterIP = '', clusterIPs = [] }: ServiceObject['spec']): {
  clusterIps: string[];
  headless: boolean;
  faults: Fault[];
} {
  const texts = clusterIPs.length > 0 ? clusterIPs : [clusterIP];
  const given = texts.filter((text) => text !== '' && text !== 'None');
  const faults: Fault[] = [];
  const addresses = given.map((text) => {
    const ip = parseIp(text);
    const field = clusterIPs.length > 0 ? `spec.clusterIPs[${texts.indexOf(text)}]` : 'spec.clusterIP';
    if (ip === undefined) faults.push({ field, expected: 'an IP address or None', got: shown(text) });
    return ip?.address ?? text;
  });
  return { clusterIps: addresses, headless: texts.includes('None') || clusterIP === 'None', faults };
}

/** What Kubernetes asks of the ports of a Service together: several have names, no name twice, no number twice. */
function portFaults(ports: readonly ServicePort[]): Fault[] {
  const faults: Fault[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, { name, port, protocol }] of ports.entries()) {
    if (name === '' && ports.length > 1) {
      faults.push({
        field: `spec.ports[${index}].name`,
        expected: 'a name, because there are several ports',
        got: shown(undefined),
      });
    } else if (names.has(name)) {
      faults.push({ field: `spec.ports[${index}].name`, expected: 'each port name once', got: `${shown(name)} again` });
    }
    if (numbers.has(`${port}/${protocol}`)) {
      faults.push({
        field: `spec.ports[${index}].port`,
        expected: 'each port and protocol once',
        got: `${port}/${protocol} again`,
      });
    }
    names.add(name);
    numbers.add(`${port}/${protocol}`);
  }
  return faults;
}

function readAnnotations(raw: Readonly<Record<string, unknown>>): {
  values: Record<string, string>;
  bytes: number;
  faults: Fault[];
} {
  const values: [string, string][] = [];
  const faults: Fault[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(raw)) {
    bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
    if (!key.startsWith(ANNOTATION_PREFIX)) continue;
    const field = memberPath('metadata.annotations', key);
    if (!QUALIFIED_NAME.test(key.slice(ANNOTATION_PREFIX.length))) {
      const expected = `${ANNOTATION_PREFIX} and at most 63 of A-Z, a-z, 0-9, -, _ and ., a letter or digit at both ends`;
      faults.push({ field, expected, got: shown(key) });
    } else if (typeof value === 'string') values.push([key, value]);
    else faults.push({ field, expected: 'text (in YAML: in quotes)', got: shown(value) });
  }
  return { values: Object.fromEntries(values), bytes, faults };
}
