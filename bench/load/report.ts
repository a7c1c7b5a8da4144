import { GOALS } from './goals.ts';
import type { Round } from './measure.ts';
import { type ShapeResult, type Spread, ratios, residentMegabytes, spread } from './results.ts';

/** The peer that all others are measured against: fast, everywhere, and known to everybody. */
export const METER_STICK = 'nginx';

/** A Markdown table that can also be read in a terminal: first column to the left, figures to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const [header = [], ...body] = rows;
  const widths = header.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length), 3));
  const pad = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  const line = (row: readonly string[]): string =>
    `| ${widths.map((_, column) => pad(row[column] ?? '', column)).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(header), rule, ...body.map(line)].join('\n');
}

/** The table of one shape with what a reader must know about it. */
export function shapeReport(result: ShapeResult): string {
  const header = [
    'peer',
    'CPU µs/request',
    `× ${METER_STICK}`,
    '(min..max)',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'RSS MB',
    'errors',
  ];
  const rows = [...result.rounds].map(([peer, rounds]) => peerRow(result, peer, rounds));
  const title = `${result.shape.name}: ${result.shape.says} (load average ${result.loadAverage})`;
  return [title, '', table([header, ...rows]), ...notes(result).map((note) => `note: ${note}`), ''].join('\n');
}

function peerRow(result: ShapeResult, peer: string, rounds: readonly Round[]): string[] {
  const middle = (pick: (round: Round) => number): number => spread(rounds.map(pick)).median;
  const ratio = ratios(result, { peer, reference: METER_STICK });
  return [
    peer,
    figure(
      middle((round) => round.cpuUs),
      1,
    ),
    figure(ratio?.median, 2),
    ratio === undefined ? '' : range(ratio),
    figure(
      middle((round) => round.requestsPerSecond),
      0,
    ),
    figure(middle((round) => round.p50Us) / 1000, 2),
    figure(middle((round) => round.p99Us) / 1000, 2),
    figure(middle((round) => round.residentBytes) / 1e6, 0),
    String(rounds.reduce((sum, round) => sum + round.errors, 0)),
  ];
}

function notes(result: ShapeResult): string[] {
  const found: string[] = [];
  for (const [peer, rounds] of result.rounds) {
    for (const doubt of new Set(rounds.flatMap((round) => round.doubts))) found.push(`${peer}: ${doubt}`);
    const connections = spread(rounds.map((round) => round.upstreamConnectionsPerRequest)).median;
    if (peer !== 'direct' && connections > 0.02)
      found.push(`${peer} opened ${connections.toFixed(2)} upstream connections per request`);
  }
  const speed = (peer: string): number =>
    spread((result.rounds.get(peer) ?? []).map((round) => round.requestsPerSecond)).median;
  const fastest = Math.max(...[...result.rounds.keys()].filter((peer) => peer !== 'direct').map(speed));
  if (speed('direct') < fastest * 1.5)
    found.push(
      'load tool and upstreams alone are not 1.5 times as fast as the fastest peer: requests/s are theirs, look at the CPU',
    );
  return found;
}

/** Peers down, shapes across: CPU per request as a multiple of the meter stick's, and memory. */
export function summary(results: readonly ShapeResult[]): string {
  const peers = [...new Set(results.flatMap((result) => [...result.rounds.keys()]))].filter(
    (peer) => peer !== 'direct',
  );
  const header = ['peer', ...results.map((result) => result.shape.name), 'RSS MB'];
  const rows = peers.map((peer) => {
    const medians = results.map((result) => figure(ratios(result, { peer, reference: METER_STICK })?.median, 2));
    return [peer].concat(medians, figure(residentMegabytes(results, peer), 0));
  });
  return `CPU per request, × ${METER_STICK} (median of the ratios within each round); largest RSS after keep-alive rounds\n\n${table([header, ...rows])}\n`;
}

/** Each goal with what was measured; empty where Heddle was not among the peers. */
export function goalReport(results: readonly ShapeResult[]): string {
  const peers = [...new Set(results.flatMap((result) => [...result.rounds.keys()]))].filter((peer) =>
    peer.startsWith('heddle'),
  );
  if (peers.length === 0) return '';
  const rows = GOALS.map((goal) => {
    const verdicts = peers.map((peer) =>
      goal.appliesTo(peer) ? verdict(goal.measure(results, peer), goal.limit) : '',
    );
    return [goal.says, `<= ${goal.limit}`].concat(verdicts);
  });
  return `Goals\n\n${table([['what', 'goal', ...peers], ...rows])}\n`;
}

function verdict(value: number | undefined, limit: number): string {
  if (value === undefined) return 'not measured';
  return `${figure(value, limit < 10 ? 2 : 0)} ${value <= limit ? 'reached' : 'missed'}`;
}

/** What is kept: one line for each shape and peer, so that two files can be compared with `diff`. */
export function resultFile(head: Readonly<Record<string, unknown>>, results: readonly ShapeResult[]): string {
  const lines = results.flatMap((result) =>
    [...result.rounds].map(([peer, rounds]) => {
      const all = (pick: (round: Round) => number, digits: number): number[] =>
        rounds.map((round) => Number(pick(round).toFixed(digits)));
      return JSON.stringify({
        shape: result.shape.name,
        peer,
        loadAverage: result.loadAverage,
        ratio: rounded(ratios(result, { peer, reference: METER_STICK })),
        cpuUs: all((round) => round.cpuUs, 2),
        requestsPerSecond: all((round) => round.requestsPerSecond, 0),
        p50Us: all((round) => round.p50Us, 0),
        p99Us: all((round) => round.p99Us, 0),
        residentMB: all((round) => round.residentBytes / 1e6, 1),
        errors: all((round) => round.errors, 0),
        doubts: rounds.flatMap((round) => round.doubts),
      });
    }),
  );
  const opening = JSON.stringify(head, undefined, 1).slice(0, -2);
  return `${opening},\n "results": [\n  ${lines.join(',\n  ')}\n ]\n}\n`;
}

function rounded(value: Spread | undefined): Spread | undefined {
  if (value === undefined) return undefined;
  return { median: thousandths(value.median), min: thousandths(value.min), max: thousandths(value.max) };
}

function thousandths(value: number): number {
  return Number(value.toFixed(3));
}

function range(value: Spread): string {
  return `${value.min.toFixed(2)}..${value.max.toFixed(2)}`;
}

function figure(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits);
}
