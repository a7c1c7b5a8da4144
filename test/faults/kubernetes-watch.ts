import type { GenerationsAnswer } from '../../src/model/admin.ts';
import type { Ask, Deed } from '../harness/api-server.ts';
import { eventually, sleep } from '../harness/client.ts';
import type { Mesh } from '../harness/mesh.ts';
import { ask } from '../harness/telemetry.ts';
import { type Figure, milliseconds, pace, type Verdict } from './figures.ts';
import { Scene, SLICES } from './kubernetes-scene.ts';

const AWAY_MS = 3000;
const BROKEN_MS = 8000;
const CONVERGED_MS_MAX = 5000;
const SILENT_MS_MAX = 60_000;
/** Between two faults: a watch that ends as soon as it began is a failure of its own. */
const CALM_MS = 3000;
const QUIET_MS = 1000;
/** One each five seconds on average; the first few come at once. */
const LIST_EVERY_MS = 5000;
const LISTS_AT_ONCE = 3;
const EMPTIED_MS = 20_000;

interface Fault {
  readonly name: string;
  /** Breaks something, changes something meanwhile, and mends it. */
  readonly happen: (scene: Scene) => Promise<void>;
  /** From then on, until the change is in force and all kinds are followed. */
  readonly msMax: number;
}

const HALF_OPEN: Fault = { name: 'connections half open', happen: halfOpen, msMax: SILENT_MS_MAX };

const FAULTS: readonly Fault[] = [
  { name: 'server restarts', happen: restart, msMax: CONVERGED_MS_MAX },
  { name: '410 Gone', happen: gone, msMax: CONVERGED_MS_MAX },
  { name: 'bookmarks only, then the end of the watch', happen: bookmarks, msMax: CONVERGED_MS_MAX },
  { name: '500', happen: async (scene) => broken(scene, () => ({ status: 500 })), msMax: CONVERGED_MS_MAX },
  {
    name: '429 with Retry-After',
    happen: async (scene) => broken(scene, () => ({ status: 429, retryAfter: 1 })),
    msMax: CONVERGED_MS_MAX,
  },
  { name: 'truncated JSON', happen: async (scene) => broken(scene, truncated), msMax: CONVERGED_MS_MAX },
  { name: 'connections reset within an object', happen: async (scene) => broken(scene, torn), msMax: CONVERGED_MS_MAX },
  { name: 'an empty list after a full one', happen: emptyLists, msMax: CONVERGED_MS_MAX },
  HALF_OPEN,
];

/** The API server is bad in each way, one after the other, over HTTP/2; over HTTP/1.1 it is silent meanwhile. */
export async function badApiServer(): Promise<Figure[]> {
  const both = await Promise.all([
    follow('kubernetes-watch', 'h2', FAULTS),
    follow('kubernetes-watch, HTTP/1.1', 'http/1.1', [HALF_OPEN]),
  ]);
  return both.flat();
}

async function follow(scenario: string, protocol: 'h2' | 'http/1.1', faults: readonly Fault[]): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note = (what: string, measured: string, wanted: string, ok: Verdict): void => {
    figures.push({ scenario, what, measured, wanted, ok });
  };
  const scene = await Scene.start(protocol);
  const mesh = await scene.mesh();
  const startMs = performance.now();
  const load = scene.load(mesh);
  for (const { name, happen, msMax } of faults) {
    await sleep(CALM_MS);
    await happen(scene);
    const tookMs = await scene.untilFollowed(mesh, 2 * msMax);
    note(`${name}: until all is followed`, milliseconds(tookMs), `<= ${msMax} ms`, pace(tookMs, msMax));
  }
  const turned = await generationsByOldEvents(scene, mesh);
  note('generations by events that are double, late or out of order', String(turned), '0', turned === 0);
  const tookMs = performance.now() - startMs;
  const beats = await load.stop();
  const { failures } = load;
  const failed = `${failures.length} of ${beats.length}${failures[0] === undefined ? '' : ` (${failures[0].failure})`}`;
  note('failed requests', failed, '0', failures.length === 0 && beats.length > tookMs / 20);
  const allowed = LISTS_AT_ONCE + tookMs / LIST_EVERY_MS;
  for (const [kind, lists] of scene.lists)
    note(
      `lists of ${kind} in ${(tookMs / 1000).toFixed(0)} s`,
      String(lists),
      `<= ${Math.floor(allowed)}`,
      lists <= allowed,
    );
  await mesh.stop();
  await scene.server.stop();
  return figures;
}

async function restart(scene: Scene): Promise<void> {
  await scene.server.network.close();
  scene.move();
  await sleep(AWAY_MS);
  await scene.server.network.open();
}

/** Watches end, and nobody may go on from a version of before; meanwhile there was a change. */
async function gone(scene: Scene): Promise<void> {
  const { server } = scene;
  server.muted = true;
  scene.move();
  server.compact();
  server.muted = false;
  endWatches(scene);
}

/** Nobody has to read anything anew: bookmarks say where to go on. */
async function bookmarks(scene: Scene): Promise<void> {
  const endMs = performance.now() + AWAY_MS;
  while (performance.now() < endMs) {
    scene.server.bookmark();
    await sleep(AWAY_MS / 10);
  }
  endWatches(scene);
  scene.move();
}

/** All that is asked for some time gets this. */
async function broken(scene: Scene, deed: (ask: Ask) => Deed): Promise<void> {
  scene.server.deed = deed;
  endWatches(scene);
  scene.move();
  await sleep(BROKEN_MS);
  scene.server.deed = () => undefined;
}

function truncated(): Deed {
  return { body: '{"type":"MODIFIED","object":{"metadata":{"name":"ord', after: 'end' };
}

function torn(): Deed {
  return { body: '{"type":"MODIFIED","object":{"metadata":{"name":"ord', after: 'reset' };
}

/** Each kind is empty when it is read anew, once. */
async function emptyLists(scene: Scene): Promise<void> {
  const { server } = scene;
  const emptied = new Set<string>();
  server.deed = ({ path, type }) => {
    if (type !== 'watch-list' || emptied.has(path)) return undefined;
    emptied.add(path);
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const object = { metadata: { resourceVersion: String(server.version), annotations } };
    return { body: `${JSON.stringify({ type: 'BOOKMARK', object })}\n`, after: 'end' };
  };
  await gone(scene);
  const kinds = scene.lists.size;
  await eventually(() => emptied.size === kinds, { what: 'each kind to be read anew', waitMs: EMPTIED_MS });
}

/** The server is there again at once, but those who were connected are told nothing. */
async function halfOpen(scene: Scene): Promise<void> {
  const { network } = scene.server;
  network.freeze();
  network.thaw();
  scene.move();
}

/** What an API server never sends, and one behind a bad cache may: a state of before, its end, and the newest one again. */
async function generationsByOldEvents(scene: Scene, mesh: Mesh): Promise<number> {
  const old = scene.move();
  const now = scene.move();
  await scene.untilFollowed(mesh, CONVERGED_MS_MAX);
  const before = await ask<GenerationsAnswer>(mesh, '/generations');
  for (const watch of scene.server.watchesOf(SLICES)) {
    watch.send('MODIFIED', old);
    watch.send('DELETED', old);
    watch.send('ADDED', now);
  }
  await sleep(QUIET_MS);
  const { current } = await ask<GenerationsAnswer>(mesh, '/generations');
  return current - before.current;
}

function endWatches({ server }: Scene): void {
  for (const watch of server.watches) watch.end();
}
