import { parseIp } from '../../lib/ip.ts';
import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, FOREIGN_PREFIXES, type Service } from '../../model/resource.ts';
import type { Endpoint, SubjectTarget } from '../../model/snapshot.ts';
import { refusal } from './address.ts';
import type { Ask } from './asks.ts';
import { readAsk, readSubject } from './message-annotations.ts';

/** The wishes of the owner of a Service that is in the mesh. */
export interface Wishes {
  /** Numbers of TCP ports, each of which exists; `undefined` means all. */
  readonly ports: ReadonlySet<number> | undefined;
  /** In place of those of EndpointSlices. */
  readonly endpoints: readonly Pick<Endpoint, 'address' | 'port'>[] | undefined;
  /** How its ports are understood; `undefined`: as each says. */
  readonly trafficType: 'http' | undefined;
  /** `undefined`: as the Service's own fields and hints say. */
  readonly locality: 'node' | 'zone' | 'any' | undefined;
  /** That serves it in place of endpoints. */
  readonly subject: SubjectTarget | undefined;
  /** For messages. */
  readonly ask: Ask | undefined;
}

const LIST_MAX = 1000;
/** Of one object: one that is wrong without end must not make problems without end, nor take time without end. */
export const MISMATCHES_MAX = 20;

/** Keys that this version obeys. */
export const OBEYED = [
  'enabled',
  'ports',
  'endpoints',
  'traffic-type',
  'scheme',
  'locality',
  'backend',
  'nats-subscribe',
  'nats-mode',
  'nats-stream',
  'nats-path',
  'nats-concurrency',
  'nats-retry',
  'nats-dead-letter',
] as const;
export type Key = (typeof OBEYED)[number];

/** Every other key, by the turn in which it is built: until then it is known, and not yet obeyed. */
export const NOT_YET = {
  2: [
    'split',
    'match',
    'mirror',
    'lb',
    'lb-hash-on',
    'sticky',
    'slow-start',
    'panic-threshold',
    'timeout-request',
    'timeout-try',
    'timeout-idle',
    'timeout-connect',
    'retry-attempts',
    'retry-on',
    'retry-methods',
    'retry-backoff',
    'retry-budget',
    'retry-body-max',
    'outlier',
    'health-check',
    'circuit-breaker-expression',
    'max-in-flight',
    'max-queue',
    'ratelimit-average',
    'ratelimit-burst',
    'ratelimit-per',
    'fault',
    'fault-on-header',
    'headers-request',
    'headers-response',
    'rewrite',
    'redirect',
    'access-log',
    'trace-sample',
    'explain-on-header',
  ],
  3: [
    'alias',
    'capture',
    'mirror-compare',
    'hedge',
    'concurrency',
    'nats-order',
    'nats-batch',
    'nats-sign',
    'nats-reply',
    'nats-expose',
    'nats-publish-allow',
    'allow',
    'deny',
    'mtls',
    'weight',
  ],
} as const;

const NOT_YET_KEYS: ReadonlySet<string> = new Set(Object.values(NOT_YET).flat());
const KEYS: ReadonlySet<string> = new Set([...OBEYED, ...NOT_YET_KEYS]);

/** Traefik Mesh's keys, all of which ours have the name of; those that are not obeyed yet with what they are about. */
const FOREIGN_KEYS: ReadonlyMap<string, string | undefined> = new Map([
  ['traffic-type', undefined],
  ['scheme', undefined],
  ['retry-attempts', 'retries'],
  ['circuit-breaker-expression', 'circuit breakers'],
  ['ratelimit-average', 'rate limits'],
  ['ratelimit-burst', 'rate limits'],
]);

/** By precedence. */
const PREFIXES = [ANNOTATION_PREFIX, ...FOREIGN_PREFIXES] as const;

/** What the values of a key may be; those of `later` are known, and not yet obeyed. */
interface Choices<T extends string> {
  readonly now: readonly T[];
  readonly later?: readonly string[];
}

/**
 * What is wrong with the annotations of a Service that is not in the mesh: the rest of them has no effect, so that it can do no
 * harm, and those of Traefik Mesh are nobody's business here.
 */
export function checkOutside(service: Service): readonly Mismatch[] {
  const reading = new AnnotationReading(service);
  reading.checkEnabled();
  reading.checkKeys({ enabled: false });
  return reading.mismatches;
}

/** Reads the annotations of a Service that is in the mesh. One that cannot be obeyed is a mismatch and counts as absent. */
export function readWishes(
  service: Service,
  from: 'files' | 'kubernetes',
): { readonly wishes: Wishes; readonly mismatches: readonly Mismatch[] } {
  const reading = new AnnotationReading(service);
  reading.checkEnabled();
  reading.checkKeys({ enabled: true });
  const trafficType = reading.choice('traffic-type', { now: ['http'], later: ['grpc', 'tcp', 'udp', 'nats'] });
  reading.choice('scheme', { now: ['http'], later: ['h2c', 'https', 'h2'] });
  const locality = reading.choice('locality', { now: ['node', 'zone', 'any'] });
  const wishes = {
    ports: reading.ports(),
    endpoints: reading.endpoints(from),
    trafficType,
    locality,
    subject: readSubject(reading),
    ask: readAsk(reading),
  };
  return { wishes, mismatches: reading.mismatches };
}

/** Reads the annotations of one Service, each by its name. */
export class AnnotationReading {
  readonly mismatches: Mismatch[] = [];
  readonly service: Service;

  constructor(service: Service) {
    this.service = service;
  }

  /** What its value means is `enabledOf`'s to say; here it is only whether it is one. */
  checkEnabled(): void {
    this.choice('enabled', { now: ['true', 'false'] });
  }

  checkKeys({ enabled }: { enabled: boolean }): void {
    for (const [key, value] of Object.entries(this.service.annotations)) {
      if (this.mismatches.length >= MISMATCHES_MAX) return;
      const prefix = PREFIXES.find((one) => key.startsWith(one));
      if (prefix === undefined) continue;
      const name = key.slice(prefix.length);
      if (prefix === ANNOTATION_PREFIX) this.#checkOurs(key, name, { value, enabled });
      else if (enabled) this.#checkForeign(key, name, { value, prefix });
    }
  }

  #checkOurs(key: string, name: string, { value, enabled }: { value: string; enabled: boolean }): void {
    if (!KEYS.has(name)) {
      const near = nearest(name, KEYS);
      const hint = near === undefined ? '' : ` (the nearest is ${ANNOTATION_PREFIX}${near})`;
      this.mismatch(key, { expected: `a known key${hint}`, got: shown(key) });
    } else if (enabled && NOT_YET_KEYS.has(name)) {
      const expected = `a key that this version obeys (${ANNOTATION_PREFIX}${name} is known, but not yet obeyed)`;
      this.mismatch(key, { expected, got: shown(value) });
    }
  }

  #checkForeign(key: string, name: string, { value, prefix }: { value: string; prefix: string }): void {
    if (!FOREIGN_KEYS.has(name)) {
      const near = nearest(name, FOREIGN_KEYS.keys());
      const hint = near === undefined ? '' : ` (the nearest is ${prefix}${near})`;
      this.mismatch(key, { expected: `a key of Traefik Mesh${hint}`, got: shown(key) });
      return;
    }
    const feature = FOREIGN_KEYS.get(name);
    if (feature === undefined || this.find(name)?.key !== key) return;
    const expected = `a key that this version obeys (${feature} come with ${ANNOTATION_PREFIX}${name}, which is not yet obeyed)`;
    this.mismatch(key, { expected, got: shown(value) });
  }

  choice<T extends string>(name: Key, { now, later = [] }: Choices<T>): T | undefined {
    const found = this.find(name);
    if (found === undefined) return undefined;
    const { key, value } = found;
    const chosen = now.find((one) => one === value);
    if (chosen === undefined) {
      const known = later.includes(value) ? ` (${value} is known, but not yet obeyed)` : '';
      const expected = `${now.map((one) => `"${one}"`).join(' or ')}${known}`;
      this.mismatch(key, { expected, got: shown(value) });
    }
    return chosen;
  }

  ports(): ReadonlySet<number> | undefined {
    const tcp = this.service.ports.filter(({ protocol }) => protocol === 'TCP');
    const texts = tcp.flatMap(({ name, port }) => (name === '' ? [String(port)] : [name, String(port)]));
    const expected = `the name or number of a TCP port of this Service (${texts.slice(0, 10).join(', ') || 'it has none'})`;
    // A name may look like the number of another port: what is a number means that one first.
    const numbers = new Map([
      ...tcp.map(({ name, port }) => [name, port] as const),
      ...tcp.map(({ port }) => [String(port), port] as const),
    ]);
    const ports = this.#list('ports', expected, (item) => {
      const value = item === '' ? undefined : numbers.get(item);
      return value === undefined ? { got: shown(item) } : { value };
    });
    return ports && new Set(ports);
  }

  endpoints(from: 'files' | 'kubernetes'): Wishes['endpoints'] {
    const found = this.find('endpoints');
    if (from === 'kubernetes' && found !== undefined) {
      const expected = 'no such key on a cluster, where endpoints come from EndpointSlices (it is for files discovery)';
      this.mismatch(found.key, { expected, got: shown(found.value) });
      return undefined;
    }
    return this.#list(
      'endpoints',
      'the literal IP address of an endpoint with its port, as 127.0.0.1:9001 or [::1]:9001',
      readEndpoint,
    );
  }

  /** The good entries of a list; without a good one the annotation counts as absent. */
  #list<T>(name: Key, expected: string, read: (item: string) => { value: T } | { got: string }): T[] | undefined {
    const found = this.find(name);
    if (found === undefined) return undefined;
    const items = found.value.split(',', LIST_MAX + 1);
    if (items.length > LIST_MAX) {
      this.mismatch(found.key, { expected: `at most ${LIST_MAX} entries`, got: 'more' });
      return undefined;
    }
    const values: T[] = [];
    for (const item of items) {
      const entry = read(item.trim());
      if ('value' in entry) values.push(entry.value);
      else this.mismatch(found.key, { expected, got: entry.got });
    }
    return values.length === 0 ? undefined : values;
  }

  /** The annotation of that name; a foreign one only where none of ours says otherwise. */
  find(name: string): { readonly key: string; readonly value: string } | undefined {
    const { annotations } = this.service;
    for (const prefix of FOREIGN_KEYS.has(name) ? PREFIXES : [ANNOTATION_PREFIX]) {
      const key = `${prefix}${name}`;
      const value = annotations[key];
      if (value !== undefined) return { key, value };
    }
    return undefined;
  }

  /** The path of an annotation of ours, for problems. */
  fieldOf(name: Key): string {
    return fieldOf(`${ANNOTATION_PREFIX}${name}`);
  }

  mismatch(key: string, { expected, got }: Omit<Mismatch, 'field'>): void {
    this.mismatches.push({ field: fieldOf(key), expected, got });
  }
}

function fieldOf(key: string): string {
  return `metadata.annotations[${JSON.stringify(key)}]`;
}

/** Never a name: what a name means is not the Service owner's to say. */
function readEndpoint(item: string): { value: Pick<Endpoint, 'address' | 'port'> } | { got: string } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):([1-9]\d{0,4})$/.exec(item) ?? [];
  const ip = parseIp(bracketed ?? plain ?? '');
  const port = Number(digits);
  if (ip === undefined || port > 65535 || (ip.family === 'IPv6') !== (bracketed !== undefined))
    return { got: shown(item) };
  const refused = refusal(ip.address, { loopback: 'allow' });
  return refused === undefined ? { value: { address: ip.address, port } } : { got: `${shown(item)}, ${refused}` };
}
