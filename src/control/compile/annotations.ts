import { parseIp } from '../../lib/ip.ts';
import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import { portOf } from '../../model/ports.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, FOREIGN_PREFIXES, type Service } from '../../model/resource.ts';
import type { FrontendPolicy, SessionPolicy } from '../../model/routing.ts';
import type { Endpoint, SubjectTarget } from '../../model/snapshot.ts';
import { refusal } from './address.ts';
import { FOREIGN_KEYS, isIdle, isMissed, KEYS, type Standing } from './annotation-keys.ts';
import { AnnotationReading, type Read } from './annotation-reading.ts';
import type { Ask } from './asks.ts';
import { readAsk, readSubject } from './message-annotations.ts';
import { MISMATCHES_MAX } from './mismatches.ts';
import { readPolicy } from './policy-annotations.ts';
import { readRouting, readSession, type RoutingWishes } from './routing-annotations.ts';

/** What the owner of a Service that is in the mesh wishes of the requests to it. */
export interface FrontendWishes {
  /** Numbers of TCP ports, each of which exists; `undefined` means all. */
  readonly ports: ReadonlySet<number> | undefined;
  /** `undefined`: all goes to its own endpoints. */
  readonly routing: RoutingWishes | undefined;
  /** `undefined`: nothing special. */
  readonly policy: FrontendPolicy | undefined;
  /** That holds for a split as a whole. */
  readonly session: SessionPolicy | undefined;
  /** For messages. */
  readonly ask: Ask | undefined;
}

/** What the owner of a Service wishes of what serves it, whoever sends requests there. */
export interface BackendWishes {
  /** In place of those of EndpointSlices. */
  readonly endpoints: readonly Pick<Endpoint, 'address' | 'port'>[] | undefined;
  /** `undefined`: as the Service's own fields and hints say. */
  readonly locality: 'node' | 'zone' | 'any' | undefined;
  /** That serves it in place of endpoints. */
  readonly subject: SubjectTarget | undefined;
  readonly session: SessionPolicy | undefined;
}

/**
 * Whether the annotations of a Service are known, and have an effect if only rules name it. What is wrong with them where nobody
 * sends anything does no harm, and those of Traefik Mesh are nobody's business but of a Service that is in the mesh.
 */
export function checkAnnotations(service: Service, standing: Standing): readonly Mismatch[] {
  const reading = new AnnotationReading(service);
  // What its value means is `enabledOf`'s to say; here it is only whether it is one.
  reading.choice('enabled', { now: ['true', 'false'] });
  checkKeys(reading, standing);
  return reading.mismatches;
}

/** Reads the annotations of a Service that is in the mesh which concern its clients, with what is wrong with them. */
export function readFrontendWishes(service: Service): {
  readonly wishes: FrontendWishes;
  readonly mismatches: readonly Mismatch[];
} {
  const reading = new AnnotationReading(service);
  reading.choice('traffic-type', { now: ['http'], later: ['grpc', 'tcp', 'udp', 'nats'] });
  const wishes = {
    ports: readPorts(reading),
    routing: readRouting(reading),
    policy: readPolicy(reading),
    // What is wrong with it is told where it is read for what serves the Service.
    session: readSession(new AnnotationReading(service)),
    ask: readAsk(reading),
  };
  return { wishes, mismatches: reading.mismatches };
}

/** Reads the annotations of a Service that concern what serves it and where. What is wrong with them is told by the reading. */
export function readBackendWishes(reading: AnnotationReading, from: 'files' | 'kubernetes'): BackendWishes {
  reading.choice('scheme', { now: ['http'], later: ['h2c', 'https', 'h2'] });
  return {
    locality: reading.choice('locality', { now: ['node', 'zone', 'any'] }),
    endpoints: readEndpoints(reading, from),
    subject: readSubject(reading),
    session: readSession(reading),
  };
}

/** Whether the owner says that its ports speak HTTP/1.1, whatever their own fields say. */
export function saysHttp(service: Service): boolean {
  return new AnnotationReading(service).find('traffic-type')?.value === 'http';
}

function checkKeys(reading: AnnotationReading, standing: Standing): void {
  for (const [key, value] of Object.entries(reading.service.annotations)) {
    if (reading.mismatches.length >= MISMATCHES_MAX) return;
    if (key.startsWith(ANNOTATION_PREFIX)) checkOurs(reading, { key, value }, standing);
    else if (standing === 'enabled') {
      const prefix = FOREIGN_PREFIXES.find((one) => key.startsWith(one));
      if (prefix !== undefined) checkForeign(reading, key, prefix);
    }
  }
}

function checkOurs(
  reading: AnnotationReading,
  { key, value }: { readonly key: string; readonly value: string },
  standing: Standing,
): void {
  const name = key.slice(ANNOTATION_PREFIX.length);
  if (!KEYS.has(name)) {
    const near = nearest(name, KEYS);
    const hint = near === undefined ? '' : ` (the nearest is ${ANNOTATION_PREFIX}${near})`;
    reading.mismatch(key, { expected: `a known key${hint}`, got: shown(key) });
  } else if (isMissed(name, standing)) {
    const expected = `a key that this version obeys (${key} is known, but not yet obeyed)`;
    reading.mismatch(key, { expected, got: shown(value) });
  } else if (isIdle(name, standing)) {
    const expected = `${ANNOTATION_PREFIX}enabled: "true" beside it (only rules name this Service: it changes nothing of what they send here)`;
    reading.mismatch(key, { expected, got: shown(value) });
  }
}

function checkForeign(reading: AnnotationReading, key: string, prefix: string): void {
  const name = key.slice(prefix.length);
  if (FOREIGN_KEYS.has(name)) return;
  const near = nearest(name, FOREIGN_KEYS);
  const hint = near === undefined ? '' : ` (the nearest is ${prefix}${near})`;
  reading.mismatch(key, { expected: `a key of Traefik Mesh${hint}`, got: shown(key) });
}

function readPorts(reading: AnnotationReading): ReadonlySet<number> | undefined {
  const tcp = reading.service.ports.filter(({ protocol }) => protocol === 'TCP');
  const texts = tcp.flatMap(({ name, port }) => (name === '' ? [String(port)] : [name, String(port)]));
  const expected = `the name or number of a TCP port of this Service (${texts.slice(0, 10).join(', ') || 'it has none'})`;
  const ports = reading.some('ports', expected, (item): Read<number> => {
    const port = portOf(tcp, item);
    return port === undefined ? { got: shown(item) } : { value: port.port };
  });
  return ports && new Set(ports);
}

function readEndpoints(reading: AnnotationReading, from: 'files' | 'kubernetes'): BackendWishes['endpoints'] {
  const found = reading.find('endpoints');
  if (from === 'kubernetes' && found !== undefined) {
    const expected = 'no such key on a cluster, where endpoints come from EndpointSlices (it is for files discovery)';
    reading.mismatch(found.key, { expected, got: shown(found.value) });
    return undefined;
  }
  return reading.some(
    'endpoints',
    'the literal IP address of an endpoint with its port, as 127.0.0.1:9001 or [::1]:9001',
    readEndpoint,
  );
}

/** Never a name: what a name means is not the Service owner's to say. */
function readEndpoint(item: string): Read<Pick<Endpoint, 'address' | 'port'>> {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):([1-9]\d{0,4})$/.exec(item) ?? [];
  const ip = parseIp(bracketed ?? plain ?? '');
  const port = Number(digits);
  if (ip === undefined || port > 65535 || (ip.family === 'IPv6') !== (bracketed !== undefined))
    return { got: shown(item) };
  const refused = refusal(ip.address, { loopback: 'allow' });
  return refused === undefined ? { value: { address: ip.address, port } } : { got: `${shown(item)}, ${refused}` };
}
