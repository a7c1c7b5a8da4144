import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Compilation, compile } from '../../src/control/compile.ts';
import { readManifestsOnce } from '../../src/control/discovery.ts';
import { NO_RESOURCES, type Resources, type Service, type ServicePort } from '../../src/model/resource.ts';
import type { HttpRouteGroupResource, RouteResource, TrafficSplitResource } from '../../src/model/route-resource.ts';
import type { RuleTable } from '../../src/model/routing.ts';
import { LiveRouting } from '../../src/proxy/route.ts';
import { settingsOf } from '../harness/settings.ts';
import { service } from '../compile/objects.ts';
import { Dice } from '../fuzz/dice.ts';
import { header, match, parent, path, route, rule, to } from './gateway-api/routes.ts';

const OPTIONS = {
  clusterDomain: 'cluster.local',
  from: 'kubernetes',
  externalName: 'refuse',
  nats: 'policies',
} as const;
/** Of a Service, as many as are taken. */
const PORTS_MAX = 1000;

function port(number: number, over: Partial<ServicePort> = {}): ServicePort {
  return { name: `p-${number}`, port: number, protocol: 'TCP', targetPort: number, appProtocol: '', ...over };
}

function ports(count: number): readonly ServicePort[] {
  return Array.from({ length: count }, (_, index) => port(index + 1));
}

function split(name: string, over: Partial<TrafficSplitResource> = {}): TrafficSplitResource {
  return {
    namespace: 'shop',
    name,
    created: '',
    service: 'orders',
    matches: [],
    backends: [{ service: 'v2', weight: 1 }],
    ...over,
  };
}

function group(name: string, matches: HttpRouteGroupResource['matches']): HttpRouteGroupResource {
  return { namespace: 'shop', name, field: 'spec.matches', matches };
}

function compiled(resources: Partial<Resources>, before?: Compilation): Compilation {
  return compile({ ...NO_RESOURCES, ...resources }, before, OPTIONS);
}

function tablesOf({ routings }: Compilation): readonly RuleTable[] {
  return routings.flatMap(({ all, consumers }) => [...(all === undefined ? [] : [all]), ...Object.values(consumers)]);
}

/** What is compared of two compilations. */
function outcome({ frontends, backends, routings, statuses, problems }: Compilation): unknown {
  return { frontends, backends, routings, statuses, problems };
}

describe('a Service of very many ports', () => {
  const wide = service('orders', { ports: ports(PORTS_MAX) });
  const v2 = service('v2', { ports: ports(PORTS_MAX) });

  function sizeOf(compilation: Compilation): number {
    return tablesOf(compilation).reduce((sum, { entries }) => sum + entries.length, 0);
  }

  test('has no more entries over all of them than one of two ports, whoever writes the rules', () => {
    const matches = Array.from({ length: 300 }, (_, index) => `orders if path=/${index}`).join(', ');
    const annotated = { ...wide, annotations: { ...wide.annotations, 'heddle.dev/match': matches } };
    const routes = Array.from({ length: 300 }, (_, index) =>
      route({ name: `r-${index}`, rules: [rule({ backendRefs: [to('v2', { port: 1 })] })] }),
    );
    const splits = Array.from({ length: 300 }, (_, index) =>
      split(`s-${index}`, { matches: [{ kind: 'HTTPRouteGroup', name: 'any' }] }),
    );
    const any = group('any', [{ name: 'all', pathRegex: '', methods: ['GET'], headers: {} }]);
    for (const resources of [
      { services: [annotated, v2] },
      { services: [wide, v2], httpRoutes: routes },
      { services: [wide, v2], trafficSplits: splits, httpRouteGroups: [any] },
    ]) {
      const compilation = compiled(resources);
      assert.ok(sizeOf(compilation) <= 20_000, `${sizeOf(compilation)} entries`);
      assert.ok(compilation.problems.length > 0);
    }
  });

  test('makes no texts of all of them', () => {
    const routes = Array.from({ length: 10 }, (_, index) =>
      route({ name: `r-${index}`, parentRefs: [parent({ port: 2000 }), parent()] }),
    );
    const { problems, statuses } = compiled({ services: [wide], httpRoutes: routes, trafficSplits: [split('s')] });
    const texts = [
      ...problems.flatMap(({ expected, got }) => [expected, got]),
      ...statuses.flatMap(({ parents }) => parents.flatMap(({ conditions }) => conditions.map((one) => one.message))),
    ];
    assert.ok(texts.length > 20);
    assert.deepEqual(
      texts.filter((text) => text.length > 600),
      [],
    );
  });
});

describe('splits', () => {
  const services = [service('orders'), service('v2')];

  test('of which thousands name one group of very many matches are told, and the first are in force', () => {
    const matches = Array.from({ length: 256 }, (_, index) => ({
      name: `m${index}`,
      pathRegex: '',
      methods: ['GET'],
      headers: {},
    }));
    const named = Array.from({ length: 256 }, () => ({ kind: 'HTTPRouteGroup', name: 'big' }));
    const splits = Array.from({ length: 100 }, (_, index) => split(`s-${index}`, { matches: named }));
    const compilation = compiled({ services, trafficSplits: splits, httpRouteGroups: [group('big', matches)] });
    // A group that is named again adds nothing.
    assert.deepEqual(
      tablesOf(compilation).map(({ rules, entries }) => [rules.length, entries.length]),
      [[39, 39 * 256]],
    );
    assert.equal(compilation.problems.length, 61);
  });

  test('whose group has expressions without end hold nothing, and one without harm goes on to hold', () => {
    const matches = Array.from({ length: 200 }, (_, index) => ({
      name: `m${index}`,
      pathRegex: `/${index}/[a-z]{1,16}`,
      methods: [],
      headers: {},
    }));
    const { routings, problems } = compiled({
      services,
      trafficSplits: [split('evil', { matches: [{ kind: 'HTTPRouteGroup', name: 'evil' }] }), split('good')],
      httpRouteGroups: [group('evil', matches)],
    });
    assert.deepEqual(
      routings.map(({ all }) => all?.rules.map(({ source }) => source.object)),
      [['TrafficSplit shop/good']],
    );
    assert.deepEqual(
      problems.map(({ object }) => object),
      ['HTTPRouteGroup shop/evil', 'TrafficSplit shop/evil'],
    );
  });
});

test('what is wrong in a group of v1alpha2 is told with the line where it stands', async () => {
  const text = `apiVersion: specs.smi-spec.io/v1alpha2
kind: HTTPRouteGroup
metadata: {name: g, namespace: shop}
matches:
- name: fine
  pathRegex: /a
- name: bad
  pathRegex: (?=a)
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop, annotations: {heddle.dev/enabled: "true"}}
spec: {ports: [{port: 80}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: s, namespace: shop}
spec: {service: orders, matches: [{kind: HTTPRouteGroup, name: g}], backends: [{service: orders, weight: 1}]}
`;
  const { resources } = await readManifestsOnce([{ type: 'text', name: 'a.yaml', text }]);
  const { problems } = compile(resources, undefined, { ...OPTIONS, from: 'files' });
  assert.deepEqual(
    problems.map(({ object, field, origin }) => [object, field, origin?.line]),
    [['HTTPRouteGroup shop/g', 'matches[1].pathRegex', 8]],
  );
});

describe('names that objects of JavaScript have too', () => {
  const services = [service('orders'), service('constructor')];

  test('are names of namespaces like others', () => {
    const theirs = route({ namespace: 'constructor', name: 'constructor' });
    const first = compiled({ services, httpRoutes: [theirs] });
    const again = compiled({ services, httpRoutes: [theirs, route({ namespace: 'valueof', name: 'b' })] }, first);
    const [routing] = again.routings;
    assert.deepEqual(Object.keys(routing!.consumers).toSorted(), ['constructor', 'valueof']);
    const live = new LiveRouting(structuredClone(routing!), settingsOf());
    assert.equal(live.tableFor('constructor')?.owners, 'HTTPRoute constructor/constructor');
    for (const other of ['__proto__', 'toString', '', 'shop']) assert.equal(live.tableFor(other), undefined);
  });

  test('are names of Services, headers and parameters like others', () => {
    const matches = [match({ headers: [header('__proto__', 'a')], queryParams: [header('constructor', 'b')] })];
    const { routings, problems } = compiled({
      services,
      httpRoutes: [route({ rules: [rule({ matches, backendRefs: [to('constructor')] })] })],
    });
    const { entries, rules } = routings[0]!.all!;
    assert.deepEqual(
      entries[0]!.match.fields.map(({ of, name }) => [of, name]),
      [
        ['header', '__proto__'],
        ['query', 'constructor'],
      ],
    );
    assert.equal(rules[0]!.targets[0]!.backend, 'shop/constructor:80');
    assert.deepEqual(problems, []);
  });

  test('are headers of a group like others, out of a file too', async () => {
    const text = `apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: g, namespace: shop}
spec: {matches: [{name: m, headers: {__proto__: a, constructor: b}}]}
`;
    const { resources } = await readManifestsOnce([{ type: 'text', name: 'a.yaml', text }]);
    const { routings } = compiled({
      services,
      trafficSplits: [
        split('s', { backends: [{ service: 'orders', weight: 1 }], matches: [{ kind: 'HTTPRouteGroup', name: 'g' }] }),
      ],
      httpRouteGroups: JSON.parse(JSON.stringify(resources.httpRouteGroups)) as HttpRouteGroupResource[],
    });
    const names = routings[0]!.all!.entries[0]!.match.fields.map(({ name }) => name);
    assert.deepEqual(names, ['__proto__', 'constructor']);
  });
});

test('a Service named without a port is followed when another port becomes its only one', () => {
  const named = service('orders', { annotations: { 'heddle.dev/enabled': 'true', 'heddle.dev/split': 'v2=1' } });
  const of = (first: ServicePort['protocol'], second: ServicePort['protocol']): Service =>
    service('v2', { annotations: {}, ports: [port(5300, { protocol: first }), port(5400, { protocol: second })] });
  const targets = ({ routings }: Compilation) =>
    routings.flatMap(({ all }) => all!.rules[0]!.targets.map((target) => target.backend));
  const before = compiled({ services: [named, of('UDP', 'TCP')] });
  assert.deepEqual(targets(before), ['shop/v2:5400']);
  for (const v2 of [of('TCP', 'TCP'), of('TCP', 'UDP')]) {
    const after = compiled({ services: [named, v2] }, before);
    assert.deepEqual(outcome(after), outcome(compiled({ services: [named, v2] })));
  }
});

describe('whatever comes and goes, in any order', () => {
  const STEPS = 400;

  /** Objects of one small world, each of which may be there or not, or be another one. */
  class World {
    readonly #dice: Dice;
    readonly #objects = new Map<string, { readonly list: keyof Resources; readonly object: object }>();

    constructor(dice: Dice) {
      this.#dice = dice;
    }

    get resources(): Resources {
      const lists = new Map<keyof Resources, object[]>();
      for (const { list, object } of this.#objects.values()) lists.set(list, [...(lists.get(list) ?? []), object]);
      return { ...NO_RESOURCES, ...Object.fromEntries(lists) };
    }

    step(): void {
      const name = this.#dice.pick(['a', 'b', 'c']);
      const namespace = this.#dice.pick(['shop', 'web']);
      const names = { name, namespace };
      const make = this.#dice.pick([
        () => this.#service(names),
        () => this.#route(names),
        () => this.#split(names),
        () => this.#group(names),
      ]);
      const [list, object] = make();
      const key = `${list} ${namespace}/${name}`;
      if (this.#dice.pick([true, false, false])) this.#objects.delete(key);
      else this.#objects.set(key, { list, object });
    }

    #service(names: { name: string; namespace: string }): ['services', Service] {
      const annotations = this.#dice.pick<Readonly<Record<string, string>>>([
        {},
        { 'heddle.dev/enabled': 'true' },
        { 'heddle.dev/enabled': 'true', 'heddle.dev/split': 'a=1, b=1' },
        { 'heddle.dev/enabled': 'true', 'heddle.dev/match': 'web/c:81 if path=/x', 'heddle.dev/mirror': 'b=50%' },
      ]);
      const own = this.#dice.pick([[port(80)], [port(80), port(81)], [port(81)], [port(80, { protocol: 'UDP' })]]);
      return ['services', { ...service(names.name, { annotations, ports: own }), ...names }];
    }

    #route(names: { name: string; namespace: string }): ['httpRoutes', RouteResource] {
      const ref = (): ReturnType<typeof to> =>
        to(this.#dice.pick(['a', 'b', 'c']), {
          namespace: this.#dice.pick(['shop', 'web']),
          port: this.#dice.pick([80, 81]),
        });
      const parentRef = parent({
        namespace: this.#dice.pick(['shop', 'web']),
        name: this.#dice.pick(['a', 'b', 'c']),
        port: this.#dice.pick([0, 80, 81]),
      });
      const good = rule({ matches: [path('PathPrefix', this.#dice.pick(['/', '/x']))], backendRefs: [ref(), ref()] });
      const bad = rule({ matches: [path('RegularExpression', '(?=a)')], backendRefs: [ref()] });
      const rules = this.#dice.pick([[good], [good, bad], [bad]]);
      return ['httpRoutes', route({ ...names, parentRefs: [parentRef], rules })];
    }

    #split(names: { name: string; namespace: string }): ['trafficSplits', TrafficSplitResource] {
      const matches = this.#dice.pick([[], [{ kind: 'HTTPRouteGroup', name: this.#dice.pick(['a', 'b']) }]]);
      const backends = ['a', 'b', 'c'].map((one) => ({ service: one, weight: this.#dice.pick([0, 1, 5]) }));
      return ['trafficSplits', split('', { ...names, service: this.#dice.pick(['a', 'b']), matches, backends })];
    }

    #group(names: { name: string; namespace: string }): ['httpRouteGroups', HttpRouteGroupResource] {
      const pathRegex = this.#dice.pick(['/x', '(?=a)']);
      return ['httpRouteGroups', { ...group('', [{ name: 'm', pathRegex, methods: [], headers: {} }]), ...names }];
    }
  }

  test('no rule names a backend that its generation lacks, and what was there before makes no difference', () => {
    const world = new World(new Dice(7));
    let before: Compilation | undefined;
    for (let step = 0; step < STEPS; step++) {
      world.step();
      const { resources } = world;
      const after = compiled(resources, before);
      const ids = new Set(after.backends.map(({ id }) => id));
      assert.equal(ids.size, after.backends.length);
      const named = tablesOf(after)
        .flatMap(({ rules }) => rules.flatMap(({ targets, mirrors }) => [targets, mirrors].flat()))
        .flatMap(({ backend }) => backend ?? []);
      assert.deepEqual(
        named.filter((id) => !ids.has(id)),
        [],
        `step ${step}`,
      );
      assert.deepEqual(outcome(after), outcome(compiled(resources)), `step ${step}`);
      assert.ok(
        compiled(structuredClone(resources), after).routings.every((one, index) => one === after.routings[index]),
      );
      before = after;
    }
  });
});
