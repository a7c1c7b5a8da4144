import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, eventually, sleep } from '../harness/client.ts';
import { valueOf } from '../harness/message.ts';
import { refusedAddress, Upstream } from '../harness/upstream.ts';
import { Pipe } from '../telemetry/writer/harness.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const ROUNDS = 3;
const CLIENTS = 16;
const LOAD_MS = 3000;
const DRAIN_TIMEOUT_MS = 5000;
/** Below it a machine with other work measures only itself. */
const P99_MS_SEEN = 5;

interface Run {
  readonly latencies: readonly number[];
  readonly failed: number;
  readonly code: number | null;
  readonly drainMs: number;
}

/** Standard output that takes nothing: a pipe that nobody reads, and a full disk. Requests and the end must not notice. */
export async function blockedLog(): Promise<Figure[]> {
  const upstream = await Upstream.start(({ socket }) => {
    // Each client waits for its reply, so that a request is one piece.
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  });
  const runs: Record<'fine' | 'pipe' | 'full', Run[]> = { fine: [], pipe: [], full: [] };
  try {
    // In turns, so that what else the machine does falls on all of them.
    for (let round = 0; round < ROUNDS; round++) {
      runs.fine.push(await withFile('/dev/null', upstream.address));
      runs.pipe.push(await withFullPipe(upstream.address));
      runs.full.push(await withFile('/dev/full', upstream.address));
    }
  } finally {
    await upstream.stop();
  }
  const fineMs = middleP99(runs.fine);
  return [...figures('a pipe that nobody reads', runs.pipe, fineMs), ...figures('a full disk', runs.full, fineMs)];
}

function figures(output: string, runs: readonly Run[], fineMs: number): Figure[] {
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'blocked log',
    what: `${output}: ${what}`,
    measured,
    wanted,
    ok,
  });
  const failed = runs.reduce((sum, run) => sum + run.failed, 0);
  const served = runs.reduce((sum, run) => sum + run.latencies.length, 0);
  const p99 = middleP99(runs);
  const drainMs = Math.max(...runs.map((run) => run.drainMs));
  const codes = [...new Set(runs.map(({ code }) => code))];
  return [
    figure('failed requests', `${failed} of ${served + failed}`, '0', failed === 0),
    figure(
      'p99',
      `${milliseconds(p99)}, else ${milliseconds(fineMs)}`,
      'twice',
      pace(p99, 2 * Math.max(fineMs, P99_MS_SEEN)),
    ),
    figure('exit codes', codes.join(' '), '0', codes.join(' ') === '0'),
    figure('slowest end', milliseconds(drainMs), milliseconds(DRAIN_TIMEOUT_MS), drainMs < DRAIN_TIMEOUT_MS),
  ];
}

function middleP99(runs: readonly Run[]): number {
  return quantile(
    runs.map(({ latencies }) => quantile(latencies, 0.99)),
    0.5,
  );
}

async function withFullPipe(endpoint: string): Promise<Run> {
  const pipe = new Pipe();
  try {
    pipe.fill();
    return await underLoad(pipe.writeEnd, endpoint);
  } finally {
    pipe.remove();
  }
}

async function withFile(path: string, endpoint: string): Promise<Run> {
  const file = openSync(path, 'w');
  try {
    return await underLoad(file, endpoint);
  } finally {
    closeSync(file);
  }
}

/** A node with this standard output, which therefore cannot tell its ports. */
async function underLoad(stdout: number, endpoint: string): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
  const annotations = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': endpoint };
  const metadata = { name: 'orders', namespace: 'test', annotations };
  const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } };
  writeFileSync(join(folder, 'services.yaml'), JSON.stringify(service));
  const [mesh, probe] = [await refusedAddress(), await refusedAddress()];
  const command = [join(import.meta.dirname, '..', '..', 'src', 'cli.ts'), 'run', '--discovery=files', '--workers=2'];
  command.push(
    '--manifests',
    folder,
    '--mesh-listen',
    mesh,
    '--probe-listen',
    probe,
    '--admin-listen=off',
    '--bridge-listen=off',
  );
  command.push('--log-format=json', '--log-level=trace', '--access-log=all');
  command.push('--drain-accept=500ms', `--drain-timeout=${DRAIN_TIMEOUT_MS}ms`);
  const child = spawn(process.execPath, command, { stdio: ['ignore', stdout, 'inherit'] });
  let exit: { readonly code: number | null; readonly atMs: number } | undefined;
  child.on('exit', (code) => {
    exit = { code, atMs: performance.now() };
  });
  try {
    await ready(probe, () => exit === undefined);
    const load = Array.from({ length: CLIENTS }, async () => busyClient(Number(mesh.split(':')[1])));
    await sleep(LOAD_MS);
    const signalMs = performance.now();
    child.kill('SIGTERM');
    const clients = await Promise.all(load);
    await eventually(() => exit !== undefined, { what: 'the process to end', waitMs: 2 * DRAIN_TIMEOUT_MS });
    return {
      latencies: clients.flatMap(({ latencies }) => latencies),
      failed: clients.filter(({ failed }) => failed).length,
      code: exit!.code,
      drainMs: exit!.atMs - signalMs,
    };
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
}

async function ready(probe: string, alive: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 15_000;
  for (;;) {
    const reply = await fetch(`http://${probe}/readyz`).catch(() => undefined);
    await reply?.arrayBuffer();
    if (reply?.status === 200) return;
    if (!alive() || performance.now() > giveUpMs) throw new Error('Expected /readyz to answer 200');
    await sleep(20);
  }
}

/** One request after the other, until a reply ends the connection (the node drains). */
async function busyClient(port: number): Promise<{ latencies: readonly number[]; failed: boolean }> {
  const latencies: number[] = [];
  for (;;) {
    // A client keeps all that it received: a new one now and then.
    const client = await Client.connect(port);
    try {
      for (let turn = 0; turn < 200; turn++) {
        const startMs = performance.now();
        client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
        const reply = await client.reply();
        if (reply.status !== 200) return { latencies, failed: true };
        latencies.push(performance.now() - startMs);
        if (/close/i.test(valueOf(reply, 'connection') ?? '')) return { latencies, failed: false };
      }
    } catch {
      return { latencies, failed: true };
    } finally {
      client.destroy();
    }
  }
}
