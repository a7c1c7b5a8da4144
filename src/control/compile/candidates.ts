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
  /** That of the endpoints, as long as one of it may get traffic. `any`: there is none to prefer. */
  readonly family: Service['family'] | 'any';
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
  /** What stands behind each port, by its name: slices refer to it by name, never by number. */
  readonly behind: ReadonlyMap<string, readonly JudgedPort[]>;
  readonly problems: readonly Problem[];
}

/** A port of one slice, with all endpoints of the slice. */
interface JudgedPort {
  readonly port: number;
  readonly endpoints: Readonly<Record<Candidate['grade'], readonly JudgedEndpoint[]>>;
}

type JudgedEndpoint = Omit<Candidate, 'port'>;

/** Of one slice. */
const PROBLEMS_MAX = 20;

const NOBODY: readonly string[] = [];
/** The best first. */
const GRADES = ['ready', 'leaving', 'unfit'] as const satisfies readonly Candidate['grade'][];

/** Judges the endpoints of a Service's slices; addresses that no endpoint may have are problems. */
export function judgeSlices(
  slices: readonly EndpointSlice[],
  options: { publishNotReady: boolean; loopback: 'allow' | 'refuse' },
): JudgedSlices {
  const behind = new Map<string, JudgedPort[]>();
  const problems: Problem[] = [];
  for (const slice of slices) {
    const endpoints = judgeEndpoints(slice, options, problems);
    for (const { name, port, protocol } of slice.ports) {
      if (protocol !== 'TCP') continue;
      const others = behind.get(name);
      if (others === undefined) behind.set(name, [{ port, endpoints }]);
      else others.push({ port, endpoints });
    }
  }
  return { behind, problems };
}

function judgeEndpoints(
  slice: EndpointSlice,
  { publishNotReady, loopback }: { publishNotReady: boolean; loopback: 'allow' | 'refuse' },
  problems: Problem[],
): JudgedPort['endpoints'] {
  const problemsMax = problems.length + PROBLEMS_MAX;
  const judged: Record<Candidate['grade'], JudgedEndpoint[]> = { ready: [], leaving: [], unfit: [] };
  for (const [index, endpoint] of slice.endpoints.entries()) {
    const { address, nodeName, zone, forNodes, forZones } = endpoint;
    const refused = refusal(address, { loopback });
    if (refused !== undefined && problems.length < problemsMax) {
      const got = `${shown(address)}, ${refused}`;
      const expected = 'an address that traffic may go to';
      const mismatch = { field: `endpoints[${index}].addresses[0]`, expected, got };
      problems.push(problemOf(objectName('EndpointSlice', slice), mismatch, slice.origin));
    }
    const verdict = publishNotReady ? READY : verdictOn(endpoint);
    const { grade, reason } = refused === undefined ? verdict : unfit(refused);
    judged[grade].push({ address, grade, reason, nodeName, zone, forNodes, forZones });
  }
  return judged;
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
 * What stands behind the Service port of this name, each address and port once.
 * @param max after so many, the best first, nothing more is looked at; `whole` is false then.
 */
export function candidatesOfPort(
  { behind }: JudgedSlices,
  portName: string,
  max: number,
): { readonly candidates: readonly Candidate[]; readonly whole: boolean } {
  const found = new Map<string, Candidate>();
  const ports = behind.get(portName) ?? [];
  let left = max;
  for (const grade of GRADES) {
    for (const { port, endpoints } of ports) {
      for (const endpoint of endpoints[grade]) {
        if (left-- === 0) return { candidates: inOrder([...found.values()]), whole: false };
        // An address may stand in two slices while it moves from one to the other: the better grade is what it has.
        const key = endpointKey({ address: endpoint.address, port });
        if (!found.has(key)) found.set(key, { ...endpoint, port });
      }
    }
  }
  return { candidates: inOrder([...found.values()]), whole: true };
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
