import { formatDuration } from '../../lib/duration.ts';
import { harmless } from '../../lib/shown.ts';
import { cut, styled, type Screen } from '../screen.ts';
import { table, type Column } from '../table.ts';
import type { CopyRow, Picture, ServiceRow, Totals } from './picture.ts';

export interface GuideInput {
  /** `http://127.0.0.1:4140` */
  readonly mesh: string;
  /** `http://127.0.0.1:4280`; undefined: off */
  readonly bridge: string | undefined;
  /** The NATS server. */
  readonly nats: string;
  /** What was not as asked for, one sentence each. */
  readonly notes: readonly string[];
  readonly folder: string;
  readonly traffic: boolean;
}

/** What a visitor reads first. Each command stands on a line of its own, to be copied. */
export function guideText({ mesh, bridge, nats, notes, folder, traffic }: GuideInput): string {
  const own = 'The demo itself asks orders and users, each five times a second (--no-traffic).\n';
  return `Heddle: a mesh on this machine, with Services of its own. Ctrl-C ends it.
${notes.map((note) => `${note}\n`).join('')}\
Ask orders (two versions), users (three unequal copies), stock (not opted in):
  curl -H 'Host: orders.shop' ${mesh}/hello
  curl --proxy ${mesh} http://users.shop/hello
  curl -i -H 'Host: stock.shop' ${mesh}/hello
${bridge === undefined ? '' : messagesText(bridge, nats)}\
Edit the manifests and save: the next request obeys. Each says what to try:
  ${folder}
${traffic ? own : ''}
`;
}

function messagesText(bridge: string, nats: string): string {
  return `Messages go through ${harmless(nats)}.
Listen in one terminal and publish in another; Service mail gets it too:
  curl -N '${bridge}/v1/subscribe?subject=demo.>'
  curl -d '{"item":"tea"}' ${bridge}/v1/publish/demo.orders.created
`;
}

const SERVICE_COLUMNS: readonly Column<ServiceRow>[] = [
  { head: 'CALLERS SAW', text: ({ name }) => name },
  { head: 'requests/s', align: 'right', text: ({ rates }) => rates?.rps.toFixed(1) ?? '-' },
  {
    head: 'success',
    align: 'right',
    text: ({ rates }) => percent(rates?.successRate),
    style: ({ rates }) => ((rates?.successRate ?? 1) < 1 ? 'red' : 'green'),
  },
  { head: 'p50', align: 'right', text: ({ rates }) => milliseconds(rates?.p50Ms) },
  { head: 'p99', align: 'right', text: ({ rates }) => milliseconds(rates?.p99Ms) },
  { head: 'retried', align: 'right', text: ({ retries }) => String(retries) },
  {
    head: 'endpoints',
    align: 'right',
    text: ({ endpointsUsed, endpointsKnown }) => `${endpointsUsed} of ${endpointsKnown}`,
    style: ({ endpointsUsed }) => (endpointsUsed === 0 ? 'red' : undefined),
  },
];

const COPY_COLUMNS: readonly Column<CopyRow>[] = [
  { head: 'COPIES DID', text: ({ label }) => label },
  { head: 'endpoint', text: ({ address }) => address },
  { head: 'requests', align: 'right', text: ({ attempts }) => String(attempts) },
  {
    head: 'failed',
    align: 'right',
    text: ({ failures }) => String(failures),
    style: ({ failures }) => (failures > 0 ? 'red' : undefined),
  },
  { head: 'latency', align: 'right', text: ({ latencyMs }) => milliseconds(latencyMs === 0 ? undefined : latencyMs) },
  { head: 'state', text: ({ state }) => state, style: ({ state }) => (state === 'used' ? undefined : 'dim') },
];

/** The live table: what callers got, what the copies behind did, what is not obeyed. Each line ends in a line feed. */
export function pictureText(picture: Picture, screen: Screen): string {
  const { services, copies, problems } = picture;
  return `${table(SERVICE_COLUMNS, services, screen)}
${table(COPY_COLUMNS, copies, screen)}
${problemsText(problems, screen)}`;
}

const PROBLEM_LINES_MAX = 3;

function problemsText(problems: readonly string[], screen: Screen): string {
  const last = problems.at(-1);
  if (last === undefined) return styled('Last problem: none', 'dim', screen) + '\n';
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const lines = wrapped(harmless(`Last problem${others}: ${last}`), screen);
  return lines.map((line) => `${styled(line, 'yellow', screen)}\n`).join('');
}

/** Broken at spaces where a line would be too long; the last one is cut. */
function wrapped(text: string, screen: Screen): readonly string[] {
  const lines: string[] = [];
  let rest = text;
  while (lines.length < PROBLEM_LINES_MAX - 1 && rest.length > screen.columns) {
    const space = rest.lastIndexOf(' ', screen.columns);
    const end = space > 0 ? space : screen.columns;
    lines.push(rest.slice(0, end));
    rest = `  ${rest.slice(end).trimStart()}`;
  }
  return [...lines, cut(rest, screen.columns, screen)];
}

/** The last line of the demo. */
export function farewellText({ requests, failed, retries }: Totals, elapsedMs: number): string {
  const seconds = formatDuration(Math.round(elapsedMs / 1000) * 1000);
  return `Ended after ${seconds}: ${requests} requests, ${requests - failed} of them answered well, ${retries} second tries\n`;
}

function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return '-';
  // Never rounded up to a success that was not.
  return share === 1 ? '100%' : `${(Math.floor(share * 1000) / 10).toFixed(1)}%`;
}

function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
