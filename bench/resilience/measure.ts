import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../test/faults/figures.ts';
import { type Answer, OpenLoad } from '../../test/harness/open-load.ts';
import { HOST } from '../load/fetch.ts';
import type { Mood, Upstream } from './upstream.ts';

/** What happens to one of the upstreams. */
export interface Fault {
  readonly name: string;
  readonly says: string;
  readonly mood: Mood | 'killed';
}

export const FAULTS: readonly Fault[] = [
  { name: 'killed', says: 'one of three is killed, and started again', mood: 'killed' },
  { name: 'black-hole', says: 'one of three takes requests and answers none', mood: 'silent' },
  { name: 'half-503', says: 'one of three answers 503 to each second request', mood: 'half' },
  { name: 'slow', says: 'one of three takes a second for each answer', mood: 'slow' },
];

export interface Phases {
  readonly perS: number;
  readonly beforeS: number;
  readonly faultS: number;
  readonly afterS: number;
}

/** What clients saw in one part of a run. */
export interface Seen {
  readonly requests: number;
  /** Not answered 200. */
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

export interface Measured {
  readonly before: Seen;
  readonly during: Seen;
  readonly after: Seen;
}

/** Loads a proxy, has one of its upstreams fail in the middle, and heals it. */
export async function measure(
  port: number,
  upstreams: readonly Upstream[],
  { mood }: Fault,
  { perS, beforeS, faultS, afterS }: Phases,
): Promise<Measured> {
  const [victim] = upstreams;
  const load = new OpenLoad(port, { host: HOST, perS });
  const beganMs = performance.now();
  await sleep(beforeS * 1000);
  const faultMs = performance.now();
  if (mood === 'killed') await victim!.kill();
  else victim!.feel(mood);
  await sleep(faultS * 1000);
  const healedMs = performance.now();
  if (mood === 'killed') await victim!.restart();
  else victim!.feel('answer');
  await sleep(afterS * 1000);
  await load.stop();
  return {
    before: seen(load.between(beganMs, faultMs)),
    during: seen(load.between(faultMs, healedMs)),
    after: seen(load.between(healedMs, Infinity)),
  };
}

function seen(answers: readonly Answer[]): Seen {
  const times = answers.map(({ tookMs }) => tookMs);
  return {
    requests: answers.length,
    failed: answers.filter(({ status }) => status !== 200).length,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    longestMs: Math.max(...times),
  };
}
