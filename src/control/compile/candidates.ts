import { shown } from '../../lib/shown.ts';
import { problemOf, type Problem } from '../../model/problem.ts';
import { objectName, type EndpointSlice, type Service, type SliceEndpoint } from '../../model/resource.ts';
import { type Backend, type Endpoint, endpointKey } from '../../model/snapshot.ts';
import { refusal } from './address.ts';

/** A backend before it is known which node it is for: all endpoints that there are, and how to choose among them. */
export interface CompiledBackend extends Omit<Backend, 'endpoints'> {
  /** Whom to prefer. `hinted`: as the hints of its endpoints say, if all have some. */
  readonly locality: 'node' | 'zone' | 'any' | 'hinted';
  /** `Local`: only endpoints of the node itself. */
  readonly internalTrafficPolicy: Service['internalTrafficPolicy'];
  /** Sorted, each address and port once. */
  readonly candidates: readonly Candidate[];
}

/** An endpoint that is known. Whether it gets traffic depends on the others, and on the node. */
export interface Candidate {
  readonly address: string;
  readonly port: number;
  /** `leaving`: shutting down, but still answering, which is better than nobody. */
  readonly grade: 'ready' | 'leaving' | 'unfit';
  /** Why it never gets traffic; empty unless it is unfit. */
  readonly reason: string;
  /** Where it stands; empty when unknown. */
  readonly nodeName: string;
  readonly zone: string;
  /** Whom it is meant for; empty: nobody in particular. */
  readonly forNodes: readonly string[];
  readonly forZones: readonly string[];
}

/** The slices of one Service, each endpoint judged. */
export interface JudgedSlices {
  readonly slices: readonly { readonly ports: EndpointSlice['ports']; readonly endpoints: readonly JudgedEndpoint[] }[];
  readonly problems: readonly Problem[];
}

/** One address of an endpoint, with all ports of its slice. */
type JudgedEndpoint = Omit<Candidate, 'port'>;

/** Of one slice. */
const PROBLEMS_MAX = 20;

const NOBODY: readonly string[] = [];
const RANK = { ready: 2, leaving: 1, unfit: 0 } as const;

/** Judges the endpoints of a Service's slices; addresses that no endpoint may have are problems. */
export function judgeSlices(
  slices: readonly EndpointSlice[],
  { publishNotReady, loopback }: { publishNotReady: boolean; loopback: 'allow' | 'refuse' },
): JudgedSlices {
  const problems: Problem[] = [];
  const judged = slices.map((slice) => {
    const problemsMax = problems.length + PROBLEMS_MAX;
    const endpoints = slice.endpoints.flatMap((endpoint, index) => {
      const { nodeName, zone, forNodes, forZones } = endpoint;
      const verdict = publishNotReady ? READY : verdictOn(endpoint);
      return endpoint.addresses.map((address, position): JudgedEndpoint => {
        const refused = refusal(address, { loopback });
        if (refused !== undefined && problems.length < problemsMax) {
          const field = `endpoints[${index}].addresses[${position}]`;
          const got = `${shown(address)}, ${refused}`;
          const mismatch = { field, expected: 'an address that traffic may go to', got };
          problems.push(problemOf(objectName('EndpointSlice', slice), mismatch, slice.origin));
        }
        const { grade, reason } = refused === undefined ? verdict : unfit(refused);
        return { address, grade, reason, nodeName, zone, forNodes, forZones };
      });
    });
    return { ports: slice.ports, endpoints };
  });
  return { slices: judged, problems };
}

type Verdict = Pick<Candidate, 'grade' | 'reason'>;
const READY: Verdict = { grade: 'ready', reason: '' };
const LEAVING: Verdict = { grade: 'leaving', reason: '' };

function verdictOn({ ready, serving, terminating }: SliceEndpoint): Verdict {
  if (ready) return READY;
  if (!terminating) return unfit('not ready');
  return serving ? LEAVING : unfit('terminating');
}

function unfit(reason: string): Verdict {
  return { grade: 'unfit', reason };
}

/**
 * What stands behind the Service port of this name: slices refer to it by name, never by number.
 * @param max what comes after so many is left out.
 */
export function candidatesOfPort({ slices }: JudgedSlices, portName: string, max: number): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  for (const { ports, endpoints } of slices) {
    for (const { name, port, protocol } of ports) {
      if (name !== portName || protocol !== 'TCP') continue;
      for (const endpoint of endpoints) {
        const key = endpointKey({ address: endpoint.address, port });
        // An address may stand in two slices while it moves from one to the other.
        const known = found.get(key);
        if (known === undefined && found.size >= max) return inOrder([...found.values()]);
        if (known === undefined || RANK[known.grade] < RANK[endpoint.grade]) found.set(key, { ...endpoint, port });
      }
    }
  }
  return inOrder([...found.values()]);
}

/** Candidates of which nothing but where they listen is known. */
export function fixedCandidates(endpoints: readonly Pick<Endpoint, 'address' | 'port'>[]): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  for (const endpoint of endpoints) {
    const { address, port } = endpoint;
    const place = { nodeName: '', zone: '', forNodes: NOBODY, forZones: NOBODY };
    found.set(endpointKey(endpoint), { address, port, grade: 'ready', reason: '', ...place });
  }
  return inOrder([...found.values()]);
}

/** Sorted, so that equal sets compile to equal backends. */
function inOrder(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port));
}
