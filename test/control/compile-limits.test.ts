import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import { NO_RESOURCES } from '../../src/model/resource.ts';
import { endpoint, service, slice } from '../compile/objects.ts';

const FILES = { clusterDomain: 'cluster.local', from: 'files', externalName: 'refuse', nats: 'policies' } as const;

describe('objects without end', () => {
  test('a Service whose ports and slices multiply keeps its first endpoints, with one problem', () => {
    const ports = Array.from({ length: 100 }, (_, index) => ({
      name: `p${index}`,
      protocol: 'TCP' as const,
      port: index + 1,
    }));
    const addresses = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const wide = service('wide', { ports: ports.map((port) => ({ ...port, targetPort: port.port, appProtocol: '' })) });
    const endpointSlices = [{ ...slice('wide', ...addresses), ports }, slice('orders', '10.0.0.1')];
    const services = [wide, service('orders')];
    const { backends, problems } = compile({ ...NO_RESOURCES, services, endpointSlices }, undefined, FILES);
    assert.deepEqual([...new Set(backends.map(({ candidates }) => candidates.length))], [1, 100]);
    assert.deepEqual(
      problems.map(({ object, expected }) => `${object}: ${expected}`),
      ['Service shop/wide: at most 10000 endpoints over all its ports (100 for each; the rest gets nothing)'],
    );
  });

  test('the ports of a Service with many slices of many ports are found in one look at each', (t) => {
    const ports = Array.from({ length: 1000 }, (_, index) => ({
      name: `p${index}`,
      protocol: 'TCP' as const,
      port: index + 1,
    }));
    const wide = service('wide', { ports: ports.map((port) => ({ ...port, targetPort: port.port, appProtocol: '' })) });
    let looks = 0;
    const counted = ports.map((port) =>
      Object.defineProperty({ ...port }, 'name', { enumerable: true, get: () => (looks++, port.name) }),
    );
    const endpointSlices = Array.from({ length: 200 }, (_, index) => ({
      ...slice('wide', `10.0.0.${index}`),
      name: `wide-${index}`,
      ports: counted.slice((index % 10) * 100, (index % 10) * 100 + 100),
    }));
    const began = performance.now();
    const { backends } = compile({ ...NO_RESOURCES, services: [wide], endpointSlices }, undefined, FILES);
    t.diagnostic(`${(performance.now() - began).toFixed(0)} ms`);
    assert.deepEqual([...new Set(backends.map(({ candidates }) => candidates.length))], [10]);
    assert.equal(looks, 200 * 100);
  });

  test('what is not ready takes no place away from what is', () => {
    const unready = Array.from({ length: 20_000 }, (_, index) =>
      endpoint(`10.0.${index >> 8}.${index & 255}`, { ready: false }),
    );
    const endpointSlices = [
      slice('wide', ...unready),
      { ...slice('wide', '10.9.0.1', endpoint('10.9.0.2', { ready: false, terminating: true })), name: 'wide-2' },
    ];
    const { backends, problems } = compile(
      { ...NO_RESOURCES, services: [service('wide')], endpointSlices },
      undefined,
      FILES,
    );
    const counts = (['ready', 'leaving', 'unfit'] as const).map(
      (grade) => backends[0]!.candidates.filter((candidate) => candidate.grade === grade).length,
    );
    assert.deepEqual(counts, [1, 1, 9_998]);
    assert.equal(problems.length, 1);
  });

  test('an address that many slices repeat is not looked at without end', () => {
    const repeated = slice('wide', ...Array.from({ length: 1000 }, () => '10.0.0.1'));
    const endpointSlices = Array.from({ length: 30 }, (_, index) => ({ ...repeated, name: `wide-${index}` }));
    const { backends, problems } = compile(
      { ...NO_RESOURCES, services: [service('wide')], endpointSlices },
      undefined,
      FILES,
    );
    assert.equal(backends[0]?.candidates.length, 1);
    assert.equal(problems.length, 1);
  });

  test('of all problems the first 10,000 are told, and how many more there are', () => {
    const annotations = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`heddle.dev/x${index}`, '']));
    const services = Array.from({ length: 600 }, (_, index) => service(`s${index}`, { annotations }));
    const resources = { ...NO_RESOURCES, services };
    const before = compile(resources, undefined, FILES);
    assert.equal(before.problems.length, 10_001);
    assert.deepEqual(before.problems.at(-1), {
      object: 'All others',
      field: '',
      expected: 'at most 10000 problems at a time (the others are not told)',
      got: '2000 more',
    });
    assert.equal(compile({ ...resources, services: [...services] }, before, FILES).problems, before.problems);
  });

  test('the problems of one Service with very many slices do no harm to the others', () => {
    const bad = Array.from({ length: 20 }, (_, index) => `169.254.0.${index}`);
    const endpointSlices = Array.from({ length: 10_000 }, (_, index) => ({
      ...slice('a', ...bad),
      name: `a-${index}`,
    }));
    const { backends } = compile(
      {
        ...NO_RESOURCES,
        services: [service('a'), service('b')],
        endpointSlices: [...endpointSlices, slice('b', '10.0.0.1')],
      },
      undefined,
      FILES,
    );
    assert.equal(backends[1]?.candidates.length, 1);
  });

  test('of one object at most 20 problems are told', () => {
    const annotations = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`heddle.dev/x${index}`, '']));
    const addresses = Array.from({ length: 1000 }, (_, index) => `169.254.${index >> 8}.${index & 255}`);
    const services = [service('many', { annotations: { ...annotations, 'heddle.dev/enabled': 'true' } })];
    const namespaces = [{ name: 'shop', annotations }];
    const resources = { ...NO_RESOURCES, services, namespaces, endpointSlices: [slice('many', ...addresses)] };
    const { problems } = compile(resources, undefined, FILES);
    const counts = Map.groupBy(problems, ({ object }) => object);
    assert.deepEqual(
      [...counts].map(([object, { length }]) => [object, length]),
      [
        ['Namespace shop', 20],
        ['Service shop/many', 20],
        ['EndpointSlice shop/many-1', 20],
      ],
    );
  });
});
