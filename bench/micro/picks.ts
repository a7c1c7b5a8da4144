import { SeededDice } from '../../src/lib/dice.ts';
import {
  BALANCE_ALGORITHMS,
  DEFAULT_BACKEND_POLICY,
  DEFAULT_BALANCE,
  DEFAULT_OUTLIER,
} from '../../src/model/resilience.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { LiveBackend } from '../../src/proxy/balance.ts';
import type { LiveEndpoint } from '../../src/proxy/upstream.ts';
import { upstreamContext } from '../../test/proxy/upstream-context.ts';
import { table } from '../load/report.ts';
import { spread } from '../load/results.ts';
import { sample } from './sample.ts';

/**
 * Nanoseconds to pick an endpoint, and milliseconds until the first pick of a plan, for which tables are built. All are measured
 * once in a round, then comes the next round, so that what else the machine does is shared by all.
 */
const ROUNDS = 11;
const SAMPLE_MS = 10;
const CALLS = 256;
/** Makes hashes of the numbers of calls (2^32 by the golden ratio). */
const SPREAD = 0x9e3779b9;
const SIZES = [3, 100, 10_000];
const NOBODY: readonly LiveEndpoint[] = [];
/** Of the meters; also what stays of the latencies. */
const NOW_MS = 1000;

interface Case {
  readonly name: string;
  readonly size: number;
  readonly pick: (hash: number) => LiveEndpoint | undefined;
  readonly firstMs: number;
  readonly samples: number[];
}

function main(): void {
  const kinds = BALANCE_ALGORITHMS.map((algorithm) => ({ name: algorithm, algorithm, outlier: undefined }));
  const watched = { name: 'p2c-ewma, ejection on', algorithm: 'p2c-ewma', outlier: DEFAULT_OUTLIER } as const;
  const cases = [...kinds, watched].flatMap(({ name, algorithm, outlier }) =>
    SIZES.map((size) => {
      const balance = { ...DEFAULT_BALANCE, algorithm };
      return caseOf(name, size, { ...DEFAULT_BACKEND_POLICY, balance, outlier });
    }),
  );
  for (const { pick } of cases) sample(pick, SAMPLE_MS, CALLS);
  for (let round = 0; round < ROUNDS; round++)
    for (const { pick, samples } of cases) samples.push(sample(pick, SAMPLE_MS, CALLS));
  const rows = [['algorithm', 'endpoints', 'ns a pick', '(min..max)', 'first pick, ms']];
  for (const { name, size, samples, firstMs } of cases) {
    const { median, min, max } = spread(samples);
    rows.push([name, String(size), median.toFixed(0), `${min.toFixed(0)}..${max.toFixed(0)}`, firstMs.toFixed(1)]);
  }
  process.stdout.write(`${table(rows)}\n`);
}

function caseOf(name: string, size: number, policy: typeof DEFAULT_BACKEND_POLICY): Case {
  const endpoints = Array.from({ length: size }, (_, index) => ({
    address: `10.9.${index >> 8}.${index & 255}`,
    port: 8080,
    tier: 0,
  }));
  const live = new LiveBackend(
    {
      backend: {
        id: 'shop/orders:80' as BackendId,
        namespace: 'shop',
        name: 'orders',
        port: 80,
        endpoints,
        subject: undefined,
        session: undefined,
        policy,
      },
      row: ROW_FIRST,
      endpointRows: endpoints.map((_, index) => ROW_FIRST + index),
    },
    upstreamContext(),
  );
  const dice = new SeededDice(1);
  for (const endpoint of live.endpoints.values()) endpoint.observe(1 + 9 * dice.roll(), NOW_MS);
  const pick = (call: number): LiveEndpoint | undefined => live.pick(Math.imul(call, SPREAD), 0, NOBODY, NOW_MS);
  const began = performance.now();
  pick(0);
  return { name, size, pick, firstMs: performance.now() - began, samples: [] };
}

main();
