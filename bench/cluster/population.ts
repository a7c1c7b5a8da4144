import type { Api } from '../../test/cluster/api.ts';

/** What endpoints listen on. */
export const ENDPOINT_PORT = 8080;
export const SERVICE_PORT = 80;
/** Endpoints have addresses of this block, all of which are this machine here. */
export const ENDPOINT_BLOCK = '10.0.0.0/10';
const NAMESPACES = 10;
const NODES = 20;
const ZONES = 3;
const CREATED_AT_ONCE = 50;

export interface PopulationOptions {
  readonly services: number;
  /** Of all Services together. */
  readonly endpoints: number;
}

interface Slice {
  readonly namespace: string;
  readonly name: string;
  addresses: readonly string[];
}

/** What the API server was told: enabled Services, each with one EndpointSlice, whose endpoints come and go. */
export class Population {
  readonly #api: Api;
  readonly #slices: readonly Slice[];
  /** When an address was taken out; it never comes again. */
  readonly #removedMs = new Map<string, number>();
  /** Time of day of changes that were not seen to be applied, by backend. */
  readonly sentMs = new Map<string, number>();
  /** How long the API server took to answer each change. */
  readonly answeredMs: number[] = [];
  #addresses = 0;
  #turn = 0;

  constructor(api: Api, { services, endpoints }: PopulationOptions) {
    this.#api = api;
    this.#slices = Array.from({ length: services }, (_, index) => ({
      namespace: `shop-${index % NAMESPACES}`,
      name: `service-${index}`,
      addresses: Array.from({ length: Math.round(endpoints / services) }, () => this.#newAddress()),
    }));
  }

  async create(): Promise<void> {
    const namespaces = [...new Set(this.#slices.map(({ namespace }) => namespace))];
    await inTurns(namespaces, (name) =>
      this.#api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
    );
    await inTurns(this.#slices, async ({ namespace, name, addresses }) => {
      await this.#api.create(`/api/v1/namespaces/${namespace}/services`, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace, name, annotations: { 'heddle.dev/enabled': 'true' } },
        spec: { ports: [{ port: SERVICE_PORT, targetPort: ENDPOINT_PORT }] },
      });
      await this.#api.create(pathOf(namespace), {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace, name, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: '', port: ENDPOINT_PORT }],
        endpoints: endpointsOf(addresses),
      });
    });
  }

  /** One Service after the other: its oldest endpoint goes, and a new one comes. Resolves when the API server has it. */
  async change(): Promise<void> {
    const slice = this.#slices[this.#turn++ % this.#slices.length]!;
    const { namespace, name } = slice;
    const [oldest, ...others] = slice.addresses;
    slice.addresses = [...others, this.#newAddress()];
    const startMs = performance.now();
    this.sentMs.set(backendOf(slice), performance.timeOrigin + startMs);
    await this.#api.patch(`${pathOf(namespace)}/${name}`, { endpoints: endpointsOf(slice.addresses) }, 'merge');
    this.#removedMs.set(oldest!, performance.now());
    this.answeredMs.push(performance.now() - startMs);
  }

  /** For how long this address has been no endpoint; 0: it is one. */
  removedForMs(address: string): number {
    return performance.now() - (this.#removedMs.get(address) ?? performance.now());
  }

  /** Authorities of the first Services. */
  authorities(count: number): readonly string[] {
    return this.#slices.slice(0, count).map(({ namespace, name }) => `${name}.${namespace}`);
  }

  /** Backend and address of each endpoint, sorted. */
  get endpoints(): readonly string[] {
    return this.#slices
      .flatMap((slice) => slice.addresses.map((address) => `${backendOf(slice)} ${address}:${ENDPOINT_PORT}`))
      .toSorted();
  }

  #newAddress(): string {
    const number = (1 << 16) + this.#addresses++;
    return `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
  }
}

function backendOf({ namespace, name }: Slice): string {
  return `${namespace}/${name}:${SERVICE_PORT}`;
}

function pathOf(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
}

/** As the controller writes them, with all that Heddle reads and some that it does not. */
function endpointsOf(addresses: readonly string[]): readonly object[] {
  return addresses.map((address) => {
    const number = Number(address.split('.')[3]);
    return {
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${number % NODES}`,
      zone: `zone-${number % ZONES}`,
      targetRef: { kind: 'Pod', namespace: 'shop', name: `pod-${address}` },
    };
  });
}

async function inTurns<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < all.length; from += CREATED_AT_ONCE)
    await Promise.all(all.slice(from, from + CREATED_AT_ONCE).map(work));
}
