/** One measured figure and what it must keep. */
export interface Figure {
  readonly scenario: string;
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  readonly ok: Verdict;
}

/** True: as wanted. `missed`: a goal of pace is missed, as other work on the machine makes it; no run fails by it. */
export type Verdict = boolean | 'missed';

const MARGIN = 4;

/**
 * Of a time, or of what fails in a time: it depends on what else the machine does.
 * @param broken what is beyond it is broken, however busy the machine. All in the same unit.
 */
export function pace(measured: number, goal: number, broken: number = MARGIN * goal): Verdict {
  if (measured <= goal) return true;
  return measured <= broken && 'missed';
}

export type Scenario = () => Promise<Figure[]>;

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** The value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((first, second) => first - second);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(1)} ms`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

const MARKS: Readonly<Record<string, string>> = { true: 'ok', missed: 'missed', false: 'FAIL' };

export function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ scenario, what, measured, wanted, ok }) => [
    MARKS[String(ok)]!,
    scenario,
    what,
    measured,
    wanted,
  ]);
  const all = [['', 'scenario', 'figure', 'measured', 'wanted'], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
