import { parseIp } from '../../lib/ip.ts';
import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, type Service } from '../../model/resource.ts';
import type { Endpoint } from '../../model/snapshot.ts';
import { refusal } from './address.ts';

/** The wishes of a Service's owner. */
export interface Wishes {
  readonly enabled: boolean;
  /** Names and numbers of ports, each of which exists; `undefined` means all. */
  readonly ports: ReadonlySet<string> | undefined;
  /** In place of those of EndpointSlices. */
  readonly endpoints: readonly Endpoint[] | undefined;
  /** What annotations, or entries of their lists, have wrong. */
  readonly mismatches: readonly Mismatch[];
}

const LIST_MAX = 1000;

/** Keys that this version obeys. */
export const OBEYED = ['enabled', 'ports', 'endpoints', 'traffic-type', 'scheme'] as const;
type Key = (typeof OBEYED)[number];

/** Every other key, by the turn in which it is built: until then it is known, and not yet obeyed. */
export const NOT_YET = {
  1: [
    'locality',
    'backend',
    'nats-subscribe',
    'nats-mode',
    'nats-stream',
    'nats-path',
    'nats-concurrency',
    'nats-retry',
    'nats-dead-letter',
  ],
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

const OBEYED_KEYS: ReadonlySet<string> = new Set(OBEYED);
const NOT_YET_KEYS: ReadonlySet<string> = new Set(Object.values(NOT_YET).flat());
const KEYS: ReadonlySet<string> = new Set([...OBEYED_KEYS, ...NOT_YET_KEYS]);

/**
 * Reads the annotations of a Service. One that is unknown or cannot be obeyed is a mismatch and counts as absent. Of a Service
 * that is not enabled only `enabled` and unknown keys are looked at: the rest has no effect, so that it can do no harm.
 */
export function readWishes(service: Service): Wishes {
  const reading = new AnnotationReading(service);
  const enabled = reading.choice('enabled', ['true', 'false']) === 'true';
  reading.checkKeys(enabled);
  if (!enabled) return { enabled, ports: undefined, endpoints: undefined, mismatches: reading.mismatches };
  reading.choice('traffic-type', ['http']);
  reading.choice('scheme', ['http']);
  return { enabled, ports: reading.ports(), endpoints: reading.endpoints(), mismatches: reading.mismatches };
}

class AnnotationReading {
  readonly mismatches: Mismatch[] = [];
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  checkKeys(enabled: boolean): void {
    for (const [key, value] of Object.entries(this.#service.annotations)) {
      const name = key.slice(ANNOTATION_PREFIX.length);
      if (!KEYS.has(name)) {
        const near = nearest(name, KEYS);
        this.#mismatch(name, {
          expected: near === undefined ? 'a known key' : `a known key (the nearest is ${ANNOTATION_PREFIX}${near})`,
          got: shown(key),
        });
      } else if (enabled && NOT_YET_KEYS.has(name)) {
        this.#mismatch(name, {
          expected: `a key that this version obeys (${ANNOTATION_PREFIX}${name} is known, but not yet obeyed)`,
          got: shown(value),
        });
      }
    }
  }

  choice<T extends string>(key: Key, allowed: readonly T[]): T | undefined {
    const value = this.#value(key);
    if (value === undefined) return undefined;
    const chosen = allowed.find((one) => one === value);
    if (chosen === undefined)
      this.#mismatch(key, { expected: allowed.map((one) => `"${one}"`).join(' or '), got: shown(value) });
    return chosen;
  }

  ports(): ReadonlySet<string> | undefined {
    const tcp = this.#service.ports.filter(({ protocol }) => protocol === 'TCP');
    const known = new Set(tcp.flatMap(({ name, port }) => (name === '' ? [String(port)] : [name, String(port)])));
    const expected = `the name or number of a TCP port of this Service (${[...known].slice(0, 10).join(', ') || 'it has none'})`;
    const ports = this.#list('ports', expected, (item) => (known.has(item) ? { value: item } : { got: shown(item) }));
    return ports && new Set(ports);
  }

  endpoints(): readonly Endpoint[] | undefined {
    return this.#list(
      'endpoints',
      'the literal IP address of an endpoint with its port, as 127.0.0.1:9001 or [::1]:9001',
      readEndpoint,
    );
  }

  /** The good entries of a list; without a good one the annotation counts as absent. */
  #list<T>(key: Key, expected: string, read: (item: string) => { value: T } | { got: string }): T[] | undefined {
    const items = this.#value(key)?.split(',', LIST_MAX + 1) ?? [];
    if (items.length > LIST_MAX) {
      this.#mismatch(key, { expected: `at most ${LIST_MAX} entries`, got: 'more' });
      return undefined;
    }
    const values: T[] = [];
    for (const item of items) {
      const entry = read(item.trim());
      if ('value' in entry) values.push(entry.value);
      else this.#mismatch(key, { expected, got: entry.got });
    }
    return values.length === 0 ? undefined : values;
  }

  #value(key: Key): string | undefined {
    return this.#service.annotations[`${ANNOTATION_PREFIX}${key}`];
  }

  #mismatch(key: string, { expected, got }: { expected: string; got: string }): void {
    this.mismatches.push({ field: `metadata.annotations[${JSON.stringify(ANNOTATION_PREFIX + key)}]`, expected, got });
  }
}

/** Never a name: what a name means is not the Service owner's to say. */
function readEndpoint(item: string): { value: Endpoint } | { got: string } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):([1-9]\d{0,4})$/.exec(item) ?? [];
  const ip = parseIp(bracketed ?? plain ?? '');
  const port = Number(digits);
  if (ip === undefined || port > 65535 || (ip.family === 'IPv6') !== (bracketed !== undefined))
    return { got: shown(item) };
  const refused = refusal(ip.address);
  return refused === undefined ? { value: { address: ip.address, port } } : { got: `${shown(item)}, ${refused}` };
}
