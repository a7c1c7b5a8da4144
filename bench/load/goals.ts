import { type ShapeResult, ratios, residentMegabytes } from './results.ts';

/** What Heddle wants to reach, and where. */
export interface Goal {
  readonly says: string;
  readonly limit: number;
  readonly appliesTo: (peer: string) => boolean;
  /** Undefined where the shape or one of the two peers was not measured. */
  readonly measure: (results: readonly ShapeResult[], peer: string) => number | undefined;
}

const isHeddle = (peer: string): boolean => peer.startsWith('heddle');
/** With every exchange in the access log and 1 % traced. */
const isAllOn = (peer: string): boolean => peer === 'heddle-all';
/** With all of resilience. */
const isResilient = (peer: string): boolean => peer === 'heddle-resilient';
/** As it comes, or with less. */
const isPlain = (peer: string): boolean => /^heddle(-1worker|-reuseport|-nolog)*$/.test(peer);
const isReuseport = (peer: string): boolean => isHeddle(peer) && peer.endsWith('reuseport');

/** All goals of the load bench; the one for idle connections is in `bench/idle`. */
export const GOALS: readonly Goal[] = [
  cpuGoal({ shape: '1k@64', reference: 'nginx', limit: 1.15 }, isPlain),
  cpuGoal({ shape: '1k@64', reference: 'nginx', limit: 1.25 }, isAllOn),
  cpuGoal({ shape: '64k@64', reference: 'nginx', limit: 1.3 }),
  cpuGoal({ shape: 'post4k@64', reference: 'nginx', limit: 1.15 }),
  cpuGoal({ shape: 'close@64', reference: 'nginx', limit: 2.8 }, (peer) => isHeddle(peer) && !isReuseport(peer)),
  cpuGoal({ shape: 'close@64', reference: 'nginx', limit: 2.2 }, isReuseport),
  cpuGoal({ shape: '1k@64', reference: 'heddle', limit: 1.1 }, isResilient),
  cpuGoal({ shape: '1k@64', reference: 'envoy', limit: 0.35 }),
  cpuGoal({ shape: '1k@64', reference: 'traefik', limit: 0.3 }),
  cpuGoal({ shape: '1k@64', reference: 'http-proxy', limit: 0.14 }),
  {
    says: 'RSS with two workers after any of the keep-alive rounds, MB',
    limit: 100,
    appliesTo: (peer) => isHeddle(peer) && !peer.includes('1worker'),
    measure: residentMegabytes,
  },
];

function cpuGoal(
  options: { readonly shape: string; readonly reference: string; readonly limit: number },
  appliesTo = isHeddle,
): Goal {
  const { shape, reference, limit } = options;
  return {
    says: `${shape}: CPU per request, × ${reference}`,
    limit,
    appliesTo,
    measure: (results, peer) => {
      const result = results.find((each) => each.shape.name === shape);
      return result === undefined ? undefined : ratios(result, { peer, reference })?.median;
    },
  };
}
