import { recordOf } from '../lib/record-of.ts';
import { type Delta, type ItemOf, KEY_OF, LIST_NAMES, type ListName } from '../model/lists.ts';
import type { BackendId, Change, Route } from '../model/snapshot.ts';
import { LiveBackend } from '../proxy/balance.ts';
import type { Plan } from '../proxy/decide.ts';
import type { UpstreamContext } from '../proxy/upstream.ts';
import { RouteTable } from '../proxy/route.ts';

/** The lists of which a plan is a map of their items, as they are. */
type MapName = Exclude<ListName, 'routes' | 'backends'>;
type Maps = { readonly [L in MapName]: ReadonlyMap<string, ItemOf<L>> };
const MAP_NAMES = LIST_NAMES.filter((list) => list !== 'routes' && list !== 'backends');

/** The plan of a worker that has heard of nothing yet. */
export function emptyPlan(clusterDomain: string): Plan {
  return {
    generation: 0,
    routes: new RouteTable({ routes: [], clusterDomain }),
    backends: new Map(),
    ...recordOf<Maps>(MAP_NAMES, () => new Map()),
  };
}

/**
 * Makes one plan out of another and a change. Everything is built aside: a change that cannot be obeyed throws and leaves the
 * plan in force as it is. What stays keeps its state (pools, latencies); what goes lets its connections go.
 */
export class Planner {
  readonly #context: UpstreamContext;
  #routes: ReadonlyMap<string, Route> = new Map();

  constructor(context: UpstreamContext) {
    this.#context = context;
  }

  next(plan: Plan, change: Change): Plan {
    const { from, generation, clusterDomain, routes, backends } = change;
    if (from !== 0 && from !== plan.generation)
      throw new Error(`Expected a change from generation ${plan.generation}, got one from ${from}`);
    const whole = from === 0;
    const known = applied(whole ? undefined : this.#routes, routes, KEY_OF.routes);
    const same = known === this.#routes;
    const table = same ? plan.routes : new RouteTable({ routes: [...known.values()], clusterDomain });
    const maps = recordOf<Maps>(MAP_NAMES, (list) =>
      applied<ItemOf<typeof list>>(whole ? undefined : plan[list], change[list], KEY_OF[list]),
    );

    const live = new Map<BackendId, LiveBackend>(whole ? [] : plan.backends);
    for (const id of backends.gone) live.delete(id);
    const updates = backends.put.flatMap((placed) => {
      const alive = plan.backends.get(placed.backend.id);
      // One that counts elsewhere now is another one.
      const before = alive?.row === placed.row ? alive : undefined;
      live.set(placed.backend.id, before ?? new LiveBackend(placed, this.#context));
      return before === undefined ? [] : [before.prepare(placed, this.#context)];
    });

    // From here on nothing can go wrong.
    this.#routes = known;
    for (const update of updates) update();
    for (const [id, backend] of plan.backends) if (live.get(id) !== backend) backend.close();
    return { generation, routes: table, backends: live, ...maps };
  }
}

/** A map with a change applied: the same one where nothing changes. @param before undefined: the change holds everything. */
function applied<T>(
  before: ReadonlyMap<string, T> | undefined,
  { put, gone }: Delta<T>,
  keyOf: (one: T) => string,
): ReadonlyMap<string, T> {
  if (before !== undefined && put.length + gone.length === 0) return before;
  const after = new Map(before);
  for (const key of gone) after.delete(key);
  for (const one of put) after.set(keyOf(one), one);
  return after;
}
