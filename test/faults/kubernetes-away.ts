import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import { eventually, sleep } from '../harness/client.ts';
import type { Mesh } from '../harness/mesh.ts';
import type { Beat } from '../harness/pulse.ts';
import { type Figure, milliseconds, pace, type Verdict } from './figures.ts';
import { Scene } from './kubernetes-scene.ts';

/** From a change to its writing (snapshot-file). */
const WRITTEN_MS = 6000;
const SERVED_MS = 3000;
const UNREADY_MS = 5000;
const SYNCED_MS_MAX = 5000;
/** What is under way with a worker that dies fails; those who come then are served by the other one. */
const DEATH_MS = 100;
const WORKER_MS_MAX = 2000;

/**
 * The API server is away: a node goes on, also with a worker that dies, and a new process begins with the snapshot file, unless
 * it is too old.
 */
export async function apiAway(minutes: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note: Note = (what, measured, wanted, ok) => {
    figures.push({ scenario: 'kubernetes-away', what, measured, wanted, ok });
  };
  const served = (who: string, beats: readonly Beat[]): void => {
    const failed = beats.filter(({ failure }) => failure !== '');
    const first = failed[0] === undefined ? '' : ` (${failed[0].failure})`;
    note(
      `${who}: failed requests`,
      `${failed.length} of ${beats.length}${first}`,
      '0',
      beats.length > 0 && failed.length === 0,
    );
  };
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-away-'));
  const snapshotFile = `--snapshot-file=${path.join(folder, 'snapshot')}`;
  const scene = await Scene.start('h2');
  try {
    const node = await scene.mesh({ flags: [snapshotFile, '--log-level=debug'], saboteur: true });
    await sleep(WRITTEN_MS);
    await scene.server.network.close();
    const load = scene.load(node);
    await sleep(minutes * 30_000);
    const death = await killWorker(node);
    await sleep(minutes * 30_000);
    const beats = await load.stop();
    const isOfDeath = ({ startMs }: Beat): boolean => Math.abs(startMs - death.atMs) < DEATH_MS;
    served(
      `${minutes} min without API server, a worker restarted`,
      beats.filter((beat) => !isOfDeath(beat)),
    );
    const cut = beats.filter((beat) => isOfDeath(beat) && beat.failure !== '').length;
    note('requests cut with the worker', String(cut), 'those under way', true);
    note(
      'until its successor has a plan',
      milliseconds(death.tookMs),
      `<= ${WORKER_MS_MAX} ms`,
      pace(death.tookMs, WORKER_MS_MAX),
    );
    note('ready all the time', String(await node.probe('/readyz')), 'true', await node.probe('/readyz'));
    // As it is when a container is killed.
    node.signal('SIGKILL');
    await node.exited();

    const next = await scene.mesh({ flags: [snapshotFile] });
    const loadOfNext = scene.load(next);
    await sleep(SERVED_MS);
    served('a new process with the snapshot file', await loadOfNext.stop());
    await next.stop();
    await unreadyUntilSynced(scene, snapshotFile, note);
  } finally {
    await scene.server.stop();
    rmSync(folder, { recursive: true });
  }
  return figures;
}

type Note = (what: string, measured: string, wanted: string, ok: Verdict) => void;

/** A new process whose snapshot file is too old, before and after the server is back. */
async function unreadyUntilSynced(scene: Scene, snapshotFile: string, note: Note): Promise<void> {
  const tooOld = await scene.mesh({ flags: [snapshotFile, '--snapshot-max-age=20s'], until: 'probes' });
  await sleep(UNREADY_MS);
  const isReady = await tooOld.probe('/readyz');
  note('a new process with a snapshot file that is too old is ready', String(isReady), 'false', !isReady);
  scene.move();
  await scene.server.network.open();
  const syncedMs = await untilReady(tooOld);
  note(
    'and is, once the server is back, after',
    milliseconds(syncedMs),
    `<= ${SYNCED_MS_MAX} ms`,
    pace(syncedMs, SYNCED_MS_MAX),
  );
  const isFollowed = await scene.isFollowed(tooOld);
  note('with what the server says', String(isFollowed), 'true', isFollowed);
  await tooOld.stop();
}

interface Death {
  /** performance.now(). */
  readonly atMs: number;
  readonly tookMs: number;
}

async function killWorker(node: Mesh): Promise<Death> {
  const plans = (): number => node.log.filter(({ msg, worker }) => msg === 'Plan in force' && worker === 0).length;
  const before = plans();
  await node.sabotage(0, 'exit');
  const atMs = performance.now();
  await eventually(() => plans() > before, { what: 'a worker with a plan', waitMs: 10_000 });
  return { atMs, tookMs: performance.now() - atMs };
}

async function untilReady(mesh: Mesh): Promise<number> {
  const startMs = performance.now();
  while (performance.now() - startMs < 2 * SYNCED_MS_MAX) {
    if (await mesh.probe('/readyz')) return performance.now() - startMs;
    await sleep(20);
  }
  return Number.POSITIVE_INFINITY;
}
