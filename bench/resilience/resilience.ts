import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { choose } from '../load/choice.ts';
import { fetchOnce } from '../load/fetch.ts';
import { describeMachine, freePort, loadAverage } from '../load/machine.ts';
import { type Peer, type StartedPeer, startPeer } from '../load/peers.ts';
import { table } from '../load/report.ts';
import { Stage } from '../load/stage.ts';
import { CONTENDERS } from './contenders.ts';
import { type Fault, FAULTS, type Measured, measure, type Phases, type Seen } from './measure.ts';
import { Upstream } from './upstream.ts';

const HELP = `Compares what clients see of a failing upstream through Heddle and through other proxies.

  npm run bench:resilience -- [options]

  --peers LIST   default: ${CONTENDERS.map(({ name }) => name).join(',')}, those that are on the PATH
  --faults LIST  default: ${FAULTS.map(({ name }) => name).join(',')}
  --per-second N requests a second (200)
  --json FILE    keeps the result; for the repository: bench/results/DATE-MACHINE-resilience.json

How to read the figures: bench/README.md
`;
const UPSTREAMS = 3;
/** Seconds. */
const PHASES = { beforeS: 4, faultS: 8, afterS: 8 };

interface Row {
  readonly fault: string;
  readonly peer: string;
  readonly measured: Measured;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const options = {
    'peers': text,
    'faults': text,
    'per-second': text,
    'json': text,
    'help': { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ options });
  if (values.help === true) {
    say(HELP);
    return;
  }
  const peers = values.peers === undefined ? CONTENDERS : choose(CONTENDERS, values.peers, 'Peer');
  const faults = values.faults === undefined ? FAULTS : choose(FAULTS, values.faults, 'Fault');
  const perS = Number(values['per-second'] ?? '200');
  if (!(perS >= 1 && perS <= 2000)) throw new Error(`--per-second must be from 1 to 2000, got ${values['per-second']}`);
  const head = { date: new Date().toISOString(), machine: describeMachine(), perS, ...PHASES };
  say(`${head.machine}; load average ${loadAverage()}; ${perS} requests a second`);
  const versions: Record<string, string> = {};
  for (const peer of peers) {
    const found = peer.find();
    if ('version' in found) versions[peer.name] = found.version;
    say('absent' in found ? `${peer.name}: absent, ${found.absent}` : `${peer.name} ${found.version}: ${peer.says}`);
  }
  const rows: Row[] = [];
  const stage = new Stage();
  try {
    for (const fault of faults) {
      for (const peer of peers.filter(({ name }) => name in versions))
        rows.push({
          fault: fault.name,
          peer: peer.name,
          measured: await once(stage, peer, fault, { ...PHASES, perS }),
        });
      say(`\n${fault.name}: ${fault.says}\n\n${report(rows.filter((row) => row.fault === fault.name))}`);
    }
  } finally {
    await stage.close();
  }
  if (values.json === undefined) return;
  mkdirSync(dirname(values.json), { recursive: true });
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  const opening = JSON.stringify({ ...head, versions }, undefined, 2).slice(0, -2);
  writeFileSync(values.json, `${opening},\n  "rows": [\n${lines}\n  ]\n}\n`);
  say(`\nKept in ${values.json}`);
}

/** A proxy of its own for each fault: none knows of an upstream what the fault before did. */
async function once(stage: Stage, peer: Peer, fault: Fault, phases: Phases): Promise<Measured> {
  const name = `${fault.name}-${peer.name}`;
  const upstreams: Upstream[] = [];
  let started: StartedPeer | undefined;
  try {
    for (let count = 0; count < UPSTREAMS; count++) upstreams.push(await Upstream.start(await freePort()));
    started = await startPeer(stage, peer, { name, upstreams: upstreams.map(({ port }) => port), ask });
    return await measure(started.port, upstreams, fault, phases);
  } finally {
    if (started !== undefined) await stage.stop(started.running);
    await Promise.all(upstreams.map((upstream) => upstream.kill()));
  }
}

async function ask(port: number): Promise<void> {
  const { status } = await fetchOnce({ port, path: '/' });
  if (status !== 200) throw new Error(`Expected status 200, got ${status}`);
}

function figures({ requests, failed, p50Ms, p99Ms, longestMs }: Seen): string[] {
  return [`${failed} of ${requests}`, ...[p50Ms, p99Ms, longestMs].map((ms) => ms.toFixed(1))];
}

function report(rows: readonly Row[]): string {
  const header = [
    'peer',
    'failed during',
    'p50 ms',
    'p99 ms',
    'longest ms',
    'failed after',
    'p50 ms',
    'p99 ms',
    'longest ms',
  ];
  const cells = rows.map(({ peer, measured: { during, after } }) => [peer, ...figures(during), ...figures(after)]);
  return table([header, ...cells]);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
