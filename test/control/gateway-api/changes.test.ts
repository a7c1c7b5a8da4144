import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RouteMatch, RouteResource } from '../../../src/model/route-resource.ts';
import { ROUTING_LIMITS } from '../../../src/model/routing.ts';
import {
  Cluster,
  compiled,
  conditions,
  FINE,
  match,
  path,
  problemsOf,
  route,
  rule,
  statusOf,
  tableOf,
  to,
} from './routes.ts';

function routeWith(name: string, matches: readonly RouteMatch[], parts: Partial<RouteResource> = {}): RouteResource {
  return route({ name, rules: [rule({ matches })], ...parts });
}

describe('what did not change', () => {
  test('is not compiled again, and is the same object', () => {
    const cluster = new Cluster();
    const routes = [route(), route({ name: 'more' })];
    const before = compiled(routes, cluster);
    const after = compiled(routes.toReversed(), cluster, before);
    assert.equal(cluster.compiled, 2);
    assert.equal(after.tables.get('shop/orders')!.get(80), before.tables.get('shop/orders')!.get(80));
    assert.equal(after.statuses, before.statuses);
  });

  test('in whatever order routes come, the same comes out', () => {
    const routes = ['c', 'a', 'b'].map((name) => routeWith(name, [path('Exact', `/${name}`)]));
    const [one, other] = [compiled(routes), compiled(routes.toReversed())];
    assert.deepEqual(one.tables, other.tables);
    assert.deepEqual(one.statuses, other.statuses);
  });

  test('a new object that says the same gives the same table', () => {
    const cluster = new Cluster();
    const before = compiled([route()], cluster);
    const after = compiled([route({ generation: 2 })], cluster, before);
    assert.equal(cluster.compiled, 2);
    assert.equal(tableOf(after), tableOf(before));
    assert.equal(after.statuses[0]!.generation, 2);
  });

  test('only the port that a route stands on is made anew', () => {
    const cluster = new Cluster();
    const [on80, on81] = [80, 81].map((port) =>
      route({ name: `on-${port}`, parentRefs: [{ ...route().parentRefs[0]!, port }] }),
    );
    const before = compiled([on80!, on81!], cluster);
    const after = compiled([on80!, { ...on81!, rules: [rule({ name: 'new' })] }], cluster, before);
    assert.equal(after.tables.get('shop/orders')!.get(80), before.tables.get('shop/orders')!.get(80));
    assert.notEqual(tableOf(after, 81), tableOf(before, 81));
  });
});

describe('what changed', () => {
  test('an answer that is another one compiles the routes that asked', () => {
    const cluster = new Cluster();
    const routes = [route({ rules: [rule({ backendRefs: [to('next')] })] }), route({ name: 'other' })];
    const before = compiled(routes, cluster);
    cluster.gone = ['next'];
    const after = compiled(routes, cluster, before);
    assert.equal(cluster.compiled, 3);
    assert.equal(tableOf(after)?.rules[0]?.targets[0]?.backend, undefined);
    assert.match(conditions(after), /ResolvedRefs=false BackendNotFound/);
  });

  test('a Service that leaves the mesh takes its table and the status with it', () => {
    const cluster = new Cluster();
    const before = compiled([route()], cluster);
    cluster.parents.clear();
    const after = compiled([route()], cluster, before);
    assert.deepEqual([after.tables.size, after.statuses, after.problems.flat(), after.asked], [0, [], [], []]);
  });

  test('a route that is gone leaves nothing', () => {
    const before = compiled([route(), route({ name: 'more' })]);
    const after = compiled([route()], new Cluster(), before);
    assert.equal(tableOf(after)?.rules.length, 1);
    assert.equal(after.statuses.length, 1);
  });

  test('a GRPCRoute that goes gives the port back to the HTTPRoute', () => {
    const cluster = new Cluster();
    const http = route();
    const before = compiled([http, route({ kind: 'GRPCRoute', name: 'calls' })], cluster);
    const after = compiled([http], cluster, before);
    assert.equal(tableOf(after)?.protocol, 'http');
    assert.equal(conditions(after), FINE);
    assert.deepEqual(problemsOf(after), []);
  });
});

describe('limits of a port', () => {
  const full = Array.from({ length: ROUTING_LIMITS.entries }, () => match());

  test('the youngest route is left out, and told', () => {
    const routes = compiled([
      routeWith('old', full, { created: '2026-01-01T00:00:00Z' }),
      routeWith('new', [match()], { created: '2026-01-02T00:00:00Z' }),
    ]);
    assert.equal(tableOf(routes)?.entries.length, ROUTING_LIMITS.entries);
    assert.match(conditions(routes, 'HTTPRoute shop/new'), /^Accepted=false UnsupportedValue/);
    assert.match(
      problemsOf(routes)[0]!,
      /HTTPRoute shop\/new: spec\.parentRefs\[0\]: at most 10000 matches and regular/,
    );
    assert.equal(conditions(routes, 'HTTPRoute shop/old'), FINE);
  });

  test('routes of other namespaces take nothing from the owner’s', () => {
    const routes = compiled([
      routeWith('mine', full, { namespace: 'web', created: '2026-01-01T00:00:00Z' }),
      routeWith('orders', [match()], { created: '2026-01-02T00:00:00Z' }),
    ]);
    assert.equal(conditions(routes), FINE);
    assert.equal(conditions(routes, 'HTTPRoute web/mine'), FINE);
  });

  test('routes of other namespaces take nothing from each other’s', () => {
    const routes = compiled([
      routeWith('mine', full, { namespace: 'web', created: '2026-01-01T00:00:00Z' }),
      routeWith('yours', full, { namespace: 'app', created: '2026-01-02T00:00:00Z' }),
    ]);
    assert.equal(conditions(routes, 'HTTPRoute web/mine'), FINE);
    assert.equal(conditions(routes, 'HTTPRoute app/yours'), FINE);
  });

  test('what regular expressions may cost is limited too', () => {
    const matches = Array.from({ length: 40 }, (_, at) => path('RegularExpression', `/${at}[a-z-]{1,16}[0-9]{1,16}`));
    const routes = compiled([routeWith('orders', matches)]);
    assert.equal(routes.tables.size, 0);
    assert.match(statusOf(routes)!.conditions[0]!.message, /^Not in force on port 80, 81: /);
  });
});
