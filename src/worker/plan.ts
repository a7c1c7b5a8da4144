import { recordOf } from '../lib/record-of.ts';
import { type Delta, type ItemOf, KEY_OF, LIST_NAMES, type ListName } from '../model/lists.ts';
import type { BackendId, Change, Frontend } from '../model/snapshot.ts';
import { LiveBackend } from '../proxy/balance.ts';
import type { Plan } from '../proxy/decide.ts';
import type { UpstreamContext } from '../proxy/upstream.ts';
import { FrontendTable, LiveRouting } from '../proxy/route.ts';

/** The lists of which a plan is a map of their items, as they are. */
type MapName = Exclude<ListName, 'frontends' | 'backends' | 'routings'>;
type Maps = { readonly [L in MapName]: ReadonlyMap<string, ItemOf<L>> };
const MAP_NAMES = LIST_NAMES.filter((list) => list !== 'frontends' && list !== 'backends' && list !== 'routings');

/** The plan of a worker that has heard of nothing yet. */
export function emptyPlan(clusterDomain: string): Plan {
  return {
    generation: 0,
    frontends: new FrontendTable({ frontends: [], clusterDomain }),
    backends: new Map(),
    routings: new Map(),
    ...recordOf<Maps>(MAP_NAMES, () => new Map()),
  };
}

/**
 * Makes one plan out of another and a change. Everything is built aside: a change that cannot be obeyed throws and leaves the
 * plan in force as it is. What stays keeps its state (pools, latencies); what goes lets its connections go.
 */
export class Planner {
  readonly #context: UpstreamContext;
  #frontends: ReadonlyMap<string, Frontend> = new Map();

  constructor(context: UpstreamContext) {
    this.#context = context;
  }

  next(plan: Plan, change: Change): Plan {
    const { from, generation, clusterDomain, frontends, backends } = change;
    if (from !== 0 && from !== plan.generation)
      throw new Error(`Expected a change from generation ${plan.generation}, got one from ${from}`);
    const whole = from === 0;
    const known = applied(whole ? undefined : this.#frontends, frontends, KEY_OF.frontends);
    const same = known === this.#frontends;
    const table = same ? plan.frontends : new FrontendTable({ frontends: [...known.values()], clusterDomain });
    const maps = recordOf<Maps>(MAP_NAMES, (list) =>
      applied<ItemOf<typeof list>>(whole ? undefined : plan[list], change[list], KEY_OF[list]),
    );

    const routings = new Map<BackendId, LiveRouting>(whole ? [] : plan.routings);
    for (const id of change.routings.gone as readonly BackendId[]) routings.delete(id);
    for (const routing of change.routings.put) routings.set(routing.id, new LiveRouting(routing, this.#context));

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
    this.#frontends = known;
    for (const update of updates) update();
    for (const [id, backend] of plan.backends) if (live.get(id) !== backend) backend.close();
    return { generation, frontends: table, backends: live, routings, ...maps };
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
