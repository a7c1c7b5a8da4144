import { parseIp } from '../../lib/ip.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, type EndpointSlice, type Service, type ServicePort } from '../../model/resource.ts';
import { memberPath } from './located.ts';
import {
  ANNOTATION_BYTES_MAX,
  endpointSliceSchema,
  MISMATCHES_MAX,
  serviceSchema,
  shape,
  type ServiceObject,
} from './schema.ts';

/** The object, or `undefined` where a mismatch costs it; some mismatches cost a field only. */
export interface Trimmed<T> {
  readonly resource: T | undefined;
  readonly mismatches: readonly Mismatch[];
}

/** What Kubernetes allows after the slash of an annotation's key. */
const QUALIFIED_NAME = /^[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?$/;
const SERVICE_LABEL = 'kubernetes.io/service-name';

const shapeOfService = shape(serviceSchema);
const shapeOfEndpointSlice = shape(endpointSliceSchema);

/** Of a v1 Service, what Heddle reads. */
export function trimService(raw: unknown): Trimmed<Service> {
  const shaped = shapeOfService(raw);
  if ('mismatches' in shaped) return { resource: undefined, mismatches: shaped.mismatches };
  const { metadata, spec } = shaped.value;
  const type = spec.type ?? 'ClusterIP';
  const ports = (spec.ports ?? []).map(({ name = '', port, protocol = 'TCP', targetPort = port }) => ({
    name,
    port,
    protocol,
    targetPort,
  }));
  const addresses = clusterIps(spec);
  const mismatches = [...portMismatches(ports), ...addresses.mismatches];
  if (ports.length === 0 && type !== 'ExternalName' && !addresses.headless) {
    mismatches.push({
      field: 'spec.ports',
      expected: 'at least one port (only headless and ExternalName Services may have none)',
      got: 'none',
    });
  }
  const annotations = readAnnotations(
    (raw as { metadata: { annotations?: Record<string, unknown> | null } }).metadata.annotations ?? {},
  );
  if (annotations.bytes > ANNOTATION_BYTES_MAX) {
    mismatches.push({
      field: 'metadata.annotations',
      expected: `at most ${ANNOTATION_BYTES_MAX} bytes of annotations`,
      got: String(annotations.bytes),
    });
  }
  if (mismatches.length > 0) return { resource: undefined, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
  const resource: Service = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    annotations: annotations.values,
    type,
    clusterIps: addresses.clusterIps,
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    ports,
  };
  return { resource, mismatches: annotations.mismatches.slice(0, MISMATCHES_MAX) };
}

/** Of a discovery.k8s.io/v1 EndpointSlice, what Heddle reads. */
export function trimEndpointSlice(raw: unknown): Trimmed<EndpointSlice> {
  const shaped = shapeOfEndpointSlice(raw);
  if ('mismatches' in shaped) return { resource: undefined, mismatches: shaped.mismatches };
  const { metadata, addressType, ports = [], endpoints = [] } = shaped.value;
  const mismatches: Mismatch[] = [];
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
          mismatches.push({
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
  return mismatches.length === 0
    ? { resource, mismatches }
    : { resource: undefined, mismatches: mismatches.slice(0, MISMATCHES_MAX) };
}

function clusterIps({ clusterIP = '', clusterIPs = [] }: ServiceObject['spec']): {
  clusterIps: string[];
  headless: boolean;
  mismatches: Mismatch[];
} {
  const texts = clusterIPs.length > 0 ? clusterIPs : [clusterIP];
  const given = texts.filter((text) => text !== '' && text !== 'None');
  const mismatches: Mismatch[] = [];
  const addresses = given.map((text) => {
    const ip = parseIp(text);
    const field = clusterIPs.length > 0 ? `spec.clusterIPs[${texts.indexOf(text)}]` : 'spec.clusterIP';
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

function readAnnotations(raw: Readonly<Record<string, unknown>>): {
  values: Record<string, string>;
  bytes: number;
  mismatches: Mismatch[];
} {
  const values: [string, string][] = [];
  const mismatches: Mismatch[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(raw)) {
    bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
    if (!key.startsWith(ANNOTATION_PREFIX)) continue;
    const field = memberPath('metadata.annotations', key);
    if (!QUALIFIED_NAME.test(key.slice(ANNOTATION_PREFIX.length))) {
      const expected = `${ANNOTATION_PREFIX} and at most 63 of A-Z, a-z, 0-9, -, _ and ., a letter or digit at both ends`;
      mismatches.push({ field, expected, got: shown(key) });
    } else if (typeof value === 'string') values.push([key, value]);
    else mismatches.push({ field, expected: 'text (in YAML: in quotes)', got: shown(value) });
  }
  return { values: Object.fromEntries(values), bytes, mismatches };
}
