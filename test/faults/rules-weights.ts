import { eventually, sleep } from '../harness/client.ts';
import { Flips } from '../harness/flips.ts';
import { editedRules, judge, request } from '../harness/edited-load.ts';
import type { RoutedLoad } from '../harness/routed-load.ts';
import { route, RulesScene, to } from '../harness/rules-scene.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const FLIPS = 40;
const FLIP_EVERY_MS = 300;
const CLIENTS_PER_WORKER = 3;
const ASK_EVERY_MS = 5;
const IN_FORCE_MS_MAX = 250;
const WAIT_MS = 20_000;
const REQUESTS = 10_000;
const CHANGE_EVERY_MS = 50;
const CLIENTS = 16;
const LOAD_MS_MAX = 120_000;

type Note = (what: string, measured: string, wanted: string, ok: Verdict) => void;

/** Weights of routes that change under load. */
export async function rulesWeights(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note: Note = (what, measured, wanted, ok) => {
    figures.push({ scenario: 'rules-weights', what, measured, wanted, ok });
  };
  for (const workers of [2, 4]) await flipped(workers, note);
  await changedOften(note);
  return figures;
}

/** From the rename of a file to the last request that a target of weight 0 got, over all workers. */
async function flipped(workers: number, note: Note): Promise<void> {
  const scene = await RulesScene.start(workers);
  const flips = new Flips();
  const put = (wanted: string): number =>
    scene.manifests.put('route.yaml', [
      scene.service('orders'),
      route('orders', [{ backendRefs: [to('v1', Number(wanted === 'v1')), to('v2', Number(wanted === 'v2'))] }]),
    ]);
  const generation = await scene.generation();
  flips.begin('v1', put('v1'));
  await scene.later(generation);
  const clients = CLIENTS_PER_WORKER * workers;
  const load = scene.load({
    clients,
    everyMs: ASK_EVERY_MS,
    request: () => 'GET / HTTP/1.1\r\nHost: orders.shop\r\n\r\n',
    judge: ({ line, status }) => (status === 200 ? '' : line),
    onAnswered: (answered) => {
      flips.note(answered);
    },
  });
  try {
    for (let flip = 0; flip < FLIPS; flip++) {
      await sleep(FLIP_EVERY_MS * Math.random());
      const wanted = flip % 2 === 0 ? 'v2' : 'v1';
      flips.begin(wanted, put(wanted));
      await sleep(FLIP_EVERY_MS);
      await eventually(() => flips.hasReached(clients), { what: `${wanted} to answer everybody`, waitMs: WAIT_MS });
      flips.end();
    }
  } finally {
    await load.stop();
    await scene.stop();
  }
  const { latenciesMs } = flips;
  const max = Math.max(...latenciesMs);
  const what = `${workers} workers: from the rename to the last request to weight 0`;
  note(`${what}, p50 of ${FLIPS}`, milliseconds(quantile(latenciesMs, 0.5)), '', true);
  note(`${what}, p90`, milliseconds(quantile(latenciesMs, 0.9)), '', true);
  note(`${what}, max`, milliseconds(max), `<= ${IN_FORCE_MS_MAX} ms`, pace(max, IN_FORCE_MS_MAX));
  noteLoad(`${workers} workers`, load, 1000, note);
}

/** A split, a match and edits, of which the weights change again and again. */
async function changedOften(note: Note): Promise<void> {
  const scene = await RulesScene.start(2);
  const put = (weight: number): number =>
    scene.manifests.put('route.yaml', [scene.service('orders'), route('orders', editedRules(weight))]);
  const generation = await scene.generation();
  put(50);
  await scene.later(generation);
  const load = scene.load({ clients: CLIENTS, everyMs: 0, request, judge });
  let changes = 0;
  const endMs = performance.now() + LOAD_MS_MAX;
  try {
    while (load.requests < REQUESTS && performance.now() < endMs) {
      put(changes++ % 101);
      await sleep(CHANGE_EVERY_MS);
    }
  } finally {
    await load.stop();
    await scene.stop();
  }
  note('changes of a weight meanwhile, every 50 ms', String(changes), '', true);
  note('answers', JSON.stringify(Object.fromEntries(load.answers)), 'of both', load.answers.size === 2);
  noteLoad('split, match and edits, failed or with a wrong byte', load, REQUESTS, note);
}

export function noteLoad(what: string, { failures, requests }: RoutedLoad, least: number, note: Note): void {
  const first = failures[0] === undefined ? '' : ` (${failures[0].slice(0, 200)})`;
  note(
    `${what}: failed requests`,
    `${failures.length} of ${requests}${first}`,
    '0',
    failures.length === 0 && requests >= least,
  );
}
