import { shown } from '../../lib/shown.ts';
import { problemOf, type Problem } from '../../model/problem.ts';
import { objectName, type EndpointSlice, type SliceEndpoint } from '../../model/resource.ts';
import { type Endpoint, endpointKey } from '../../model/snapshot.ts';
import { refusal } from './address.ts';

/** How fit an address is for traffic; greater is better. Only those of the best grade present are used, and never UNFIT. */
const UNFIT = 0;
/** Shutting down, but still answering: better than nobody. */
const LEAVING = 1;
const READY = 2;

interface Graded {
  readonly address: string;
  readonly grade: number;
}

/** The slices of one Service, with what of their addresses may be dialled. */
export interface SliceSet {
  readonly slices: readonly { readonly ports: EndpointSlice['ports']; readonly addresses: readonly Graded[] }[];
  readonly problems: readonly Problem[];
}

/** Grades the addresses of a Service's slices; those that no endpoint may have are problems. */
export function gradeSlices(
  slices: readonly EndpointSlice[],
  { publishNotReady }: { publishNotReady: boolean },
): SliceSet {
  const problems: Problem[] = [];
  const graded = slices.map((slice) => ({
    ports: slice.ports,
    addresses: slice.endpoints.flatMap((endpoint, index) => {
      const grade = publishNotReady ? READY : gradeOf(endpoint);
      return endpoint.addresses.flatMap((address, position): Graded[] => {
        const refused = refusal(address);
        if (refused === undefined) return [{ address, grade }];
        const field = `endpoints[${index}].addresses[${position}]`;
        const got = `${shown(address)}, ${refused}`;
        const mismatch = { field, expected: 'an address that traffic may go to', got };
        problems.push(problemOf(objectName('EndpointSlice', slice), mismatch, slice.origin));
        return [];
      });
    }),
  }));
  return { slices: graded, problems };
}

function gradeOf({ ready, serving, terminating }: SliceEndpoint): number {
  if (ready) return READY;
  return serving && terminating ? LEAVING : UNFIT;
}

/** The endpoints behind the Service port of this name: slices refer to it by name, never by number. */
export function endpointsOfPort({ slices }: SliceSet, portName: string): readonly Endpoint[] {
  const found = new Map<string, Endpoint & Graded>();
  let best = LEAVING;
  for (const { ports, addresses } of slices) {
    for (const { name, port, protocol } of ports) {
      if (name !== portName || protocol !== 'TCP') continue;
      for (const { address, grade } of addresses) {
        const key = endpointKey({ address, port });
        // An address may stand in two slices while it moves from one to the other.
        const known = found.get(key);
        if (known === undefined || known.grade < grade) found.set(key, { address, port, grade });
        if (grade > best) best = grade;
      }
    }
  }
  return inOrder([...found.values()].filter(({ grade }) => grade === best));
}

/** An endpoint that is known and gets nothing. */
export interface Unused {
  /** As `endpointKey` makes it. */
  readonly address: string;
  readonly reason: string;
}

/** What stands in the slices for the port of this name, and is not used. */
export function unusedOfPort(
  slices: readonly EndpointSlice[],
  portName: string,
  used: readonly Endpoint[],
): readonly Unused[] {
  const known = new Set(used.map(endpointKey));
  const unused: Unused[] = [];
  for (const { ports, endpoints } of slices) {
    for (const { name, port, protocol } of ports) {
      if (name !== portName || protocol !== 'TCP') continue;
      for (const endpoint of endpoints) {
        for (const address of endpoint.addresses) {
          const key = endpointKey({ address, port });
          if (!known.has(key)) unused.push({ address: key, reason: refusal(address) ?? reasonOf(endpoint) });
          known.add(key);
        }
      }
    }
  }
  return unused;
}

function reasonOf({ serving, terminating }: SliceEndpoint): string {
  if (!terminating) return 'not ready';
  return serving ? 'terminating, and others are ready' : 'terminating';
}

/** Endpoints sorted and each only once, so that equal sets compile to equal backends. */
export function inOrder(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const distinct = new Map(endpoints.map(({ address, port }) => [endpointKey({ address, port }), { address, port }]));
  return [...distinct.values()].toSorted((a, b) =>
    a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port,
  );
}
