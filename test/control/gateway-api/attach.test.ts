import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cluster, compiled, conditions, FINE, parent, problemsOf, route, statusOf, tableOf } from './routes.ts';

describe('what a route is attached to', () => {
  test('a Service without port: to all its ports', () => {
    const routes = compiled([route()]);
    assert.deepEqual([...routes.tables.get('shop/orders')!.keys()], [80, 81]);
    assert.equal(conditions(routes), FINE);
  });

  test('a port: to that one', () => {
    const routes = compiled([route({ parentRefs: [parent({ port: 81 })] })]);
    assert.deepEqual([...routes.tables.get('shop/orders')!.keys()], [81]);
  });

  test('a section: to the port of that name', () => {
    const routes = compiled([route({ parentRefs: [parent({ sectionName: 'admin' })] })]);
    assert.deepEqual([...routes.tables.get('shop/orders')!.keys()], [81]);
  });

  test('port and section that are not of one port: to none', () => {
    const routes = compiled([route({ parentRefs: [parent({ port: 80, sectionName: 'admin' })] })]);
    assert.equal(routes.tables.size, 0);
    assert.equal(conditions(routes), 'Accepted=false NoMatchingParent, ResolvedRefs=true ResolvedRefs');
    assert.deepEqual(problemsOf(routes), [
      'HTTPRoute shop/orders: spec.parentRefs[0].port: a port of Service shop/orders that is in the mesh (80 (http), 81 (admin)), ' +
        'got 80 with the name "admin"',
    ]);
  });

  test('group core means the same as none', () => {
    assert.equal(conditions(compiled([route({ parentRefs: [parent({ group: 'core' })] })])), FINE);
  });

  test('parents of other kinds are nobody’s business', () => {
    const routes = compiled([
      route({
        parentRefs: [parent({ group: 'gateway.networking.k8s.io', kind: 'Gateway' })],
        hostnames: ['a.example'],
      }),
    ]);
    assert.deepEqual([routes.tables.size, routes.statuses, routes.problems.flat()], [0, [], []]);
  });

  test('a Service in the group of Gateways is no Service, and that is told', () => {
    const routes = compiled([route({ parentRefs: [parent({ group: 'gateway.networking.k8s.io' })] })]);
    assert.deepEqual([routes.tables.size, routes.statuses], [0, []]);
    assert.deepEqual(problemsOf(routes), [
      'HTTPRoute shop/orders: spec.parentRefs[0].group: "" where the kind is Service (left out, it is gateway.networking.k8s.io, ' +
        'and no Service is meant), got "gateway.networking.k8s.io"',
    ]);
  });

  test('beside a Gateway the Service counts, with its own place in the list', () => {
    const gateway = parent({ group: 'gateway.networking.k8s.io', kind: 'Gateway' });
    const routes = compiled([route({ parentRefs: [gateway, parent({ port: 99 })] })]);
    assert.equal(routes.statuses[0]!.parents.length, 1);
    assert.match(problemsOf(routes)[0]!, /spec\.parentRefs\[1\]\.port/);
  });

  test('a Service that is not in the mesh gives no status', () => {
    const routes = compiled([route({ parentRefs: [parent({ name: 'other' })] })]);
    assert.deepEqual([routes.tables.size, routes.statuses, routes.asked], [0, [], []]);
  });

  test('each parentRef has a status of its own', () => {
    const routes = compiled([route({ parentRefs: [parent({ port: 80 }), parent({ port: 9 })] })]);
    assert.equal(conditions(routes, 'HTTPRoute shop/orders', 0), FINE);
    assert.match(conditions(routes, 'HTTPRoute shop/orders', 1), /^Accepted=false NoMatchingParent/);
  });

  test('two parentRefs that mean one port give its rules once', () => {
    const table = tableOf(compiled([route({ parentRefs: [parent(), parent({ port: 80 })] })]));
    assert.equal(table?.rules.length, 1);
  });

  test('one route may have several Services', () => {
    const cluster = new Cluster();
    cluster.parents.set('shop/cart', { namespace: 'shop', name: 'cart', ports: [{ port: 80, name: '' }] });
    const routes = compiled([route({ parentRefs: [parent(), parent({ name: 'cart' })] })], cluster);
    assert.deepEqual([...routes.tables.keys()], ['shop/orders', 'shop/cart']);
  });

  test('the status carries the generation of the route', () => {
    assert.equal(compiled([route({ generation: 7 })]).statuses[0]!.generation, 7);
  });
});

describe('producer and consumer routes', () => {
  const consumer = route({ namespace: 'web', name: 'mine' });

  test('a route of another namespace is for clients there alone', () => {
    const routes = compiled([consumer]);
    const tables = routes.tables.get('shop/orders')!.get(80)!;
    assert.equal(tables.all, undefined);
    assert.equal(tables.consumers['web']?.rules[0]?.source.object, 'HTTPRoute web/mine');
    assert.match(statusOf(routes, 'HTTPRoute web/mine')!.conditions[0]!.message, /for clients of namespace web/);
  });

  test('groups are not merged', () => {
    const tables = compiled([consumer, route()]).tables.get('shop/orders')!.get(80)!;
    assert.equal(tables.all?.rules.length, 1);
    assert.equal(tables.consumers['web']?.rules.length, 1);
  });

  test('routes of one group are', () => {
    const tables = compiled([route(), route({ name: 'more' })])
      .tables.get('shop/orders')!
      .get(80)!;
    assert.equal(tables.all?.rules.length, 2);
  });

  test('a GRPCRoute of another namespace does not conflict with the owner’s HTTPRoute', () => {
    const routes = compiled([route(), route({ kind: 'GRPCRoute', namespace: 'web', name: 'mine' })]);
    assert.equal(conditions(routes), FINE);
    assert.equal(routes.tables.get('shop/orders')!.get(80)!.consumers['web']?.protocol, 'grpc');
  });

  test('a namespace that is called as a member of all objects does no harm', () => {
    const routes = compiled([route({ namespace: '__proto__', name: 'mine' })]);
    const { consumers } = routes.tables.get('shop/orders')!.get(80)!;
    assert.deepEqual(Object.keys(consumers), ['__proto__']);
  });
});

describe('GRPCRoute and HTTPRoute on one port', () => {
  test('the GRPCRoute wins', () => {
    const routes = compiled([route(), route({ kind: 'GRPCRoute', name: 'calls' })]);
    assert.equal(tableOf(routes)?.protocol, 'grpc');
    assert.equal(conditions(routes), 'Accepted=false Conflicted, ResolvedRefs=true ResolvedRefs');
    assert.match(problemsOf(routes).at(-1)!, /spec\.parentRefs\[0\]: .*, got GRPCRoute shop\/calls$/);
  });

  test('on other ports the HTTPRoute holds, and its status says where not', () => {
    const routes = compiled([route(), route({ kind: 'GRPCRoute', name: 'calls', parentRefs: [parent({ port: 81 })] })]);
    assert.equal(tableOf(routes, 80)?.protocol, 'http');
    assert.equal(tableOf(routes, 81)?.protocol, 'grpc');
    assert.equal(conditions(routes), FINE);
    assert.match(
      statusOf(routes)!.conditions[0]!.message,
      /^In force on port 80 for all clients; not on port 81: .*GRPCRoute/,
    );
  });

  test('a GRPCRoute that is not accepted owns nothing', () => {
    const broken = route({ kind: 'GRPCRoute', name: 'calls' });
    const rules = [{ ...broken.rules[0]!, filters: [{ ...FILTER, type: 'CORS' }] }];
    const routes = compiled([route(), { ...broken, rules }]);
    assert.equal(tableOf(routes)?.protocol, 'http');
    assert.equal(conditions(routes), FINE);
  });
});

const FILTER = {
  requestHeaderModifier: undefined,
  responseHeaderModifier: undefined,
  requestMirror: undefined,
  requestRedirect: undefined,
  urlRewrite: undefined,
  cors: undefined,
};
