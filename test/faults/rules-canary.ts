import type { ProblemView } from '../../src/model/admin.ts';
import { sleep } from '../harness/client.ts';
import { echoed } from '../harness/routed-load.ts';
import { type Figure, type Verdict } from './figures.ts';
import { route, RulesScene, to } from '../harness/rules-scene.ts';
import { noteLoad } from './rules-weights.ts';

const CLIENTS = 12;
const EVERY_MS = 10;
const STAGE_MS = 2000;
const SETTLE_MS = 1000;
const SPLIT = { 'heddle.dev/split': 'v1=80, v2=20' };

interface Stage {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly isRouted: boolean;
  /** The share of v2; undefined: all is answered by the Service's own endpoint. */
  readonly share: number | undefined;
  /** The annotation does nothing, and its author must hear of that. */
  readonly isShadowed: boolean;
}

const BEFORE: Stage = { name: 'no rules', annotations: {}, isRouted: false, share: undefined, isShadowed: false };
const BY_ANNOTATION: Stage = { ...BEFORE, name: 'annotation', annotations: SPLIT, share: 0.2 };
const BOTH: Stage = { name: 'annotation and route', annotations: SPLIT, isRouted: true, share: 0.4, isShadowed: true };
const BY_ROUTE: Stage = { ...BEFORE, name: 'route', isRouted: true, share: 0.4 };
const STAGES = [BY_ANNOTATION, BOTH, BY_ROUTE, BOTH, BY_ANNOTATION, BEFORE];

/** A canary by annotation, the same by HTTPRoute, and back, under load. */
export async function rulesCanary(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note = (what: string, measured: string, wanted: string, ok: Verdict): void => {
    figures.push({ scenario: 'rules-canary', what, measured, wanted, ok });
  };
  const scene = await RulesScene.start(2);
  const put = ({ annotations, isRouted }: Stage): number =>
    scene.manifests.put('orders.yaml', [
      scene.service('orders', 'own', annotations),
      ...(isRouted ? [route('orders', [{ backendRefs: [to('v1', 60), to('v2', 40)] }])] : []),
    ]);
  const generation = await scene.generation();
  put(BEFORE);
  await scene.later(generation);
  const load = scene.load({
    clients: CLIENTS,
    everyMs: EVERY_MS,
    request: (number) => `GET /${number} HTTP/1.1\r\nHost: orders.shop\r\n\r\n`,
    judge: ({ status, body }, number) => {
      const rest = echoed({ method: 'GET', url: `/${number}`, headers: {} }, '');
      return status === 200 && body.endsWith(` ${rest}`) ? '' : `${status} ${body.slice(0, 100)}`;
    },
  });
  try {
    for (const stage of STAGES) {
      put(stage);
      await sleep(SETTLE_MS);
      const before = new Map(load.answers);
      await sleep(STAGE_MS);
      const got = (name: string): number => (load.answers.get(name) ?? 0) - (before.get(name) ?? 0);
      const [own, v1, v2] = [got('own'), got('v1'), got('v2')];
      const { name, share } = stage;
      const ok = share === undefined ? own > 0 && v1 + v2 === 0 : own === 0 && isShare(v2, v1 + v2, share);
      note(
        `${name}: answers of own, v1, v2`,
        `${own}, ${v1}, ${v2}`,
        share === undefined ? 'own' : `${100 * share} % of v2`,
        ok,
      );
      const told = (await scene.problems()).find(isShadow);
      note(
        `${name}: shadowing`,
        told?.expected ?? 'not told',
        stage.isShadowed ? 'told' : 'not told',
        (told !== undefined) === stage.isShadowed,
      );
    }
  } finally {
    await load.stop();
    await scene.stop();
  }
  noteLoad('canary by annotation, by route, and back', load, 1000, note);
  return figures;
}

function isShadow({ object, field, expected }: ProblemView): boolean {
  return (
    object === 'Service shop/orders' && field.includes('heddle.dev/split') && expected.includes('HTTPRoute shop/orders')
  );
}

/** Within five sigma. */
function isShare(count: number, all: number, share: number): boolean {
  return all > 100 && Math.abs(count - all * share) <= 5 * Math.sqrt(all * share * (1 - share));
}
