import { Resolver } from 'node:dns/promises';
import { isDeepStrictEqual } from 'node:util';
import { unchangedList } from '../lib/unchanged.ts';
import { shown } from '../lib/shown.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import { objectName, type EndpointSlice, type Resources, type Service } from '../model/resource.ts';
import { isEnabled } from './compile.ts';
import type { DiscoveryEvents } from './discovery.ts';
import { type Answer, type Answers, ExternalName, FAMILIES, type Family } from './external-names/external-name.ts';
import { readName } from './external-names/name.ts';

/** What we need of `Resolver` of node:dns/promises: it asks names as they are, without search list or hosts file. */
export interface NameResolver {
  resolve4(name: string, options: { ttl: true }): Promise<readonly { address: string; ttl: number }[]>;
  resolve6(name: string, options: { ttl: true }): Promise<readonly { address: string; ttl: number }[]>;
  /** Fails all questions that are under way. */
  cancel(): void;
}

export interface ExternalNamesOptions {
  readonly resolver?: NameResolver;
  /** Monotonic. */
  readonly nowMs?: () => number;
}

const NAMES_MAX = 1000;
const QUERIES_MAX = 16;
/** A query is over after 2 s of each of two tries: what is late is asked anew, and the last good addresses stay. */
const QUERY = { timeout: 2_000, tries: 2, maxTimeout: 4_000 };
/** So that a thousand names that are answered one after the other are some changes, and not a thousand. */
const GATHER_MS = 50;

/** A Service of type ExternalName that is in the mesh. */
interface External {
  readonly service: Service;
  /** Undefined where it cannot be asked. */
  readonly name: ExternalName | undefined;
  /** Why not. */
  readonly problem?: Problem;
}

interface Made {
  readonly service: Service;
  readonly addresses: readonly string[];
  readonly slice: EndpointSlice;
}

/**
 * A stage between discovery and compile, for `--external-name allow`: asks DNS for the names of enabled Services of type
 * ExternalName, and adds EndpointSlices with what it says, so that nothing after it knows of names. The last good addresses
 * stay in force while DNS fails, for an hour. Whether an address may be an endpoint is for compile to say.
 */
export class ExternalNames implements DiscoveryEvents {
  readonly #events: DiscoveryEvents;
  readonly #resolver: NameResolver;
  readonly #nowMs: () => number;
  /** By the name in its one spelling. */
  readonly #names = new Map<string, ExternalName>();
  #externals: readonly External[] = [];
  /** By the name of the slice. */
  #made: ReadonlyMap<string, Made> = new Map();
  #slices: readonly EndpointSlice[] = [];
  #problems: readonly Problem[] = [];
  #problemsBefore: readonly Problem[] = [];
  #resources: Resources | undefined = undefined;
  #queries = 0;
  #stopped = false;
  /** Until the next name is due. */
  #due: NodeJS.Timeout | undefined = undefined;
  /** Until what came in the meantime is handed on. */
  #gathering: NodeJS.Timeout | undefined = undefined;

  constructor(
    events: DiscoveryEvents,
    { resolver = new Resolver(QUERY), nowMs = () => performance.now() }: ExternalNamesOptions = {},
  ) {
    this.#events = events;
    this.#resolver = resolver;
    this.#nowMs = nowMs;
  }

  onProblems(problems: readonly Problem[]): void {
    this.#problemsBefore = problems;
    this.#events.onProblems([...problems, ...this.#problems]);
  }

  onResources(resources: Resources): void {
    this.#externals = this.#externalsOf(resources);
    const wanted = new Set(this.#externals.map(({ name }) => name));
    for (const [key, name] of this.#names) if (!wanted.has(name)) this.#names.delete(key);
    this.#handOn(resources);
    this.#askDue();
  }

  /** Nothing is asked or handed on any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#due);
    clearTimeout(this.#gathering);
    this.#resolver.cancel();
  }

  #externalsOf({ services, namespaces }: Resources): readonly External[] {
    const namespaceOf = new Map(namespaces.map((namespace) => [namespace.name, namespace]));
    const found = services
      .filter((service) => service.type === 'ExternalName' && isEnabled(service, namespaceOf))
      .map((service) => ({ service, reading: readName(service.externalName) }));
    // Those that are known come first: who names many others takes no place away.
    const names = new Set(found.flatMap(({ reading }) => ('name' in reading ? [reading.name] : [])));
    const places = [...names].toSorted((a, b) => Number(this.#names.has(b)) - Number(this.#names.has(a)));
    const asked = new Map(
      places.slice(0, NAMES_MAX).map((name) => [name, this.#names.get(name) ?? new ExternalName(name)]),
    );
    for (const [key, name] of asked) this.#names.set(key, name);
    return found.map(({ service, reading }): External => {
      if (!('name' in reading)) return { service, name: undefined, problem: problemWith(service, reading) };
      const name = asked.get(reading.name);
      if (name !== undefined) return { service, name };
      const expected = `at most ${NAMES_MAX} names outside of the mesh`;
      return { service, name, problem: problemWith(service, { expected, got: `${shown(reading.name)} as one more` }) };
    });
  }

  /** Begins to ask what is due, as far as there is room. Called again with each answer. */
  #askDue(): void {
    clearTimeout(this.#due);
    const nowMs = this.#nowMs();
    const waiting = [...this.#names.values()].filter(({ asking }) => !asking).toSorted((a, b) => a.dueMs - b.dueMs);
    for (const name of waiting) {
      if (this.#queries + FAMILIES.length > QUERIES_MAX) return;
      if (name.dueMs > nowMs) {
        this.#due = setTimeout(() => this.#askDue(), name.dueMs - nowMs);
        return;
      }
      void this.#ask(name);
    }
  }

  async #ask(name: ExternalName): Promise<void> {
    name.asking = true;
    this.#queries += FAMILIES.length;
    const answers = await this.#answersFor(name.name);
    this.#queries -= FAMILIES.length;
    name.asking = false;
    if (this.#stopped) return;
    name.answered(answers, this.#nowMs());
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#handOn(this.#resources!);
    }, GATHER_MS);
    this.#askDue();
  }

  async #answersFor(name: string): Promise<Answers> {
    const [IPv4, IPv6] = await Promise.all([
      answerOf(this.#resolver.resolve4(name, { ttl: true })),
      answerOf(this.#resolver.resolve6(name, { ttl: true })),
    ]);
    return { IPv4, IPv6 };
  }

  #handOn(resources: Resources): void {
    const problems = this.#externals.flatMap(({ service, name, problem }) => problem ?? failureOf(service, name) ?? []);
    if (!isDeepStrictEqual(problems, this.#problems)) {
      this.#problems = problems;
      this.#events.onProblems([...this.#problemsBefore, ...problems]);
    }
    const slices = this.#slicesOfExternals();
    if (resources === this.#resources && slices === this.#slices) return;
    this.#resources = resources;
    this.#slices = slices;
    const { endpointSlices } = resources;
    this.#events.onResources(
      slices.length === 0 ? resources : { ...resources, endpointSlices: [...endpointSlices, ...slices] },
    );
  }

  /** The same list (===) where nothing changed, and in it the same slices. */
  #slicesOfExternals(): readonly EndpointSlice[] {
    const made = new Map<string, Made>();
    for (const { service, name } of this.#externals) {
      for (const family of name === undefined ? [] : FAMILIES) {
        const addresses = name!.addresses(family);
        if (addresses.length === 0) continue;
        const key = `${service.namespace}/${service.name}-${family}`;
        const before = this.#made.get(key);
        const isSame = before?.service === service && before.addresses === addresses;
        made.set(key, isSame ? before : { service, addresses, slice: sliceOf(service, family, addresses) });
      }
    }
    this.#made = made;
    const slices = [...made.values()].map(({ slice }) => slice);
    return unchangedList(slices, this.#slices);
  }
}

async function answerOf(query: Promise<readonly { address: string; ttl: number }[]>): Promise<Answer> {
  try {
    const records = await query;
    if (records.length === 0) return { type: 'none' };
    const ttlMs = 1000 * Math.min(...records.map(({ ttl }) => ttl));
    return { type: 'addresses', addresses: records.map(({ address }) => address), ttlMs };
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return code === 'ENODATA' ? { type: 'none' } : { type: 'failed', code };
  }
}

function failureOf(service: Service, name: ExternalName | undefined): Problem | undefined {
  if (name?.error === undefined) return undefined;
  const meanwhile = name.isEmpty ? '' : '; its last addresses stay for up to an hour';
  const got = `${shown(name.name)} (${name.error}${meanwhile})`;
  return problemWith(service, { expected: 'a name that DNS knows', got });
}

function problemWith(service: Service, { expected, got }: { expected: string; got: string }): Problem {
  return problemOf(objectName('Service', service), { field: 'spec.externalName', expected, got }, service.origin);
}

/**
 * As the control plane makes one for a Service with pods. The name is an alias (a CNAME of cluster DNS), so that a client
 * would use the port as it is; a number as target port is a wish, a name means a container, of which there is none.
 */
function sliceOf(service: Service, addressType: Family, addresses: readonly string[]): EndpointSlice {
  return {
    namespace: service.namespace,
    name: `${service.name}-external-${addressType.toLowerCase()}`,
    ...(service.origin !== undefined && { origin: service.origin }),
    service: service.name,
    addressType,
    ports: service.ports.map(({ name, port, protocol, targetPort }) => ({
      name,
      port: typeof targetPort === 'number' ? targetPort : port,
      protocol,
    })),
    endpoints: addresses.map((address) => ({
      address,
      ready: true,
      serving: true,
      terminating: false,
      nodeName: '',
      zone: '',
      forNodes: [],
      forZones: [],
    })),
  };
}
