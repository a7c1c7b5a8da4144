import { type BackendId, type Change, type Route, routeKey } from '../model/snapshot.ts';
import { LiveBackend } from '../proxy/balance.ts';
import type { Plan } from '../proxy/decide.ts';
import type { UpstreamContext } from '../proxy/upstream.ts';
import { RouteTable } from '../proxy/route.ts';

/** The plan of a worker that has heard of nothing yet. */
export function emptyPlan(clusterDomain: string): Plan {
  return { generation: 0, routes: new RouteTable({ routes: [], clusterDomain }), backends: new Map() };
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
    const known = new Map(from === 0 ? [] : this.#routes);
    for (const key of routes.gone) known.delete(key);
    for (const route of routes.put) known.set(routeKey(route), route);
    const sameRoutes = from !== 0 && routes.put.length + routes.gone.length === 0;
    const table = sameRoutes ? plan.routes : new RouteTable({ routes: [...known.values()], clusterDomain });

    const live = new Map<BackendId, LiveBackend>(from === 0 ? [] : plan.backends);
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
    return { generation, routes: table, backends: live };
  }
}
