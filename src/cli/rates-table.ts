import type { BackendRates } from './rates.ts';
import type { Column } from './table.ts';

/** Shares of success below which a row is shown in yellow and in red. */
const SUCCESS_GOOD = 0.99;
const SUCCESS_FAIR = 0.9;

/** What a row is called: `shop/orders`, with its port where each port has a row. */
function backendName({ namespace, name, port }: Pick<BackendRates, 'namespace' | 'name' | 'port'>): string {
  if (namespace === '') return name === '' ? '(no Service)' : `(${name})`;
  return `${namespace}/${name}${port === 0 ? '' : `:${port}`}`;
}

/** Columns that tell how backends do. */
export const RATES_COLUMNS: readonly Column<BackendRates>[] = [
  { head: 'SERVICE', text: backendName },
  {
    head: 'SUCCESS',
    align: 'right',
    text: ({ successRate }) => (successRate === null ? '-' : percentText(successRate)),
    style: ({ successRate }) => successStyle(successRate),
  },
  { head: 'RPS', align: 'right', text: ({ rps }) => rps.toFixed(1) },
  { head: 'P50 MS', align: 'right', text: ({ p50Ms }) => durationText(p50Ms) },
  { head: 'P95 MS', align: 'right', text: ({ p95Ms }) => durationText(p95Ms) },
  { head: 'P99 MS', align: 'right', text: ({ p99Ms }) => durationText(p99Ms) },
  {
    head: 'FAILED/S',
    align: 'right',
    text: ({ failedPerSecond }) => failedPerSecond.toFixed(1),
    style: ({ failedPerSecond }) => (failedPerSecond > 0 ? 'red' : undefined),
  },
  { head: 'RETRIES/S', align: 'right', text: ({ retriesPerSecond }) => retriesPerSecond.toFixed(1) },
  { head: 'ACTIVE', align: 'right', text: ({ active }) => String(active) },
];

/** Rounded down, so that 100 % means all. */
function percentText(share: number): string {
  return `${(Math.floor(share * 10_000) / 100).toFixed(2)}%`;
}

function durationText(durationMs: number | null): string {
  if (durationMs === null) return '-';
  return durationMs.toFixed(durationMs < 10 ? 1 : 0);
}

function successStyle(successRate: number | null): 'green' | 'yellow' | 'red' | undefined {
  if (successRate === null) return undefined;
  if (successRate >= SUCCESS_GOOD) return 'green';
  return successRate >= SUCCESS_FAIR ? 'yellow' : 'red';
}
