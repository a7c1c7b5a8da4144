import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { missingHere, runIsolated } from '../cluster/isolation.ts';
import type { Figure } from './figures.ts';

/** The API server is bad in many ways (limits-and-faults, row 2): more than two minutes. */
export async function kubernetesWatch(): Promise<Figure[]> {
  return isolated('kubernetes-watch', []);
}

/** The API server is away for that long (row 3). */
export async function kubernetesAway(minutes: number): Promise<Figure[]> {
  return isolated('kubernetes-away', [String(minutes)]);
}

/** Weights of routes and splits change at the API server under load. */
export async function kubernetesRules(): Promise<Figure[]> {
  return isolated('kubernetes-rules', []);
}

const BESIDES_MS = 5 * 60_000;

/**
 * Runs a scenario in namespaces of its own, by `kubernetes-inside.ts`: an endpoint of a cluster may not have a loopback address.
 * Where there can be none, nothing is measured, and under CI that is a failure.
 */
async function isolated(scenario: string, parameters: readonly string[]): Promise<Figure[]> {
  const lacking = missingHere();
  const what = 'namespaces of its own';
  if (lacking !== undefined)
    return [{ scenario, what, measured: `SKIPPED: ${lacking}`, wanted: '', ok: !process.env['CI'] }];
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-faults-'));
  const file = path.join(folder, 'figures.json');
  try {
    const minutes = Number(parameters[0] ?? 0);
    const ok = await runIsolated(
      [path.join(import.meta.dirname, 'kubernetes-inside.ts'), scenario, file, ...parameters],
      {
        variables: {},
        timeoutMs: minutes * 60_000 + BESIDES_MS,
      },
    );
    if (!ok) return [{ scenario, what: 'the scenario itself', measured: 'failed, see above', wanted: '', ok: false }];
    return JSON.parse(readFileSync(file, 'utf8')) as Figure[];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
