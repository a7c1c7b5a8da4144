import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  endpointSliceOf,
  namespaceOf,
  nodeOf,
  podOf,
  serviceOf,
  type EndpointSliceObject,
  type ServiceObject,
} from '../../../src/control/discovery/objects.ts';

const OBJECTS = new URL('../../../src/control/discovery/objects.ts', import.meta.url);

function service(spec: Partial<ServiceObject['spec']>, annotations?: Record<string, unknown> | null): ServiceObject {
  return { metadata: { name: 'orders', namespace: 'shop', annotations }, spec: { ports: [{ port: 80 }], ...spec } };
}

function slice(parts: Partial<EndpointSliceObject>): EndpointSliceObject {
  const labels = { 'kubernetes.io/service-name': 'orders' };
  return { metadata: { name: 'orders-x', namespace: 'shop', labels }, addressType: 'IPv4', ...parts };
}

/** The files that a file imports as values, itself included, and the packages. */
function loadedBy(file: URL, loaded = new Set<string>()): ReadonlySet<string> {
  if (loaded.has(file.href)) return loaded;
  loaded.add(file.href);
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/^import (?!type)[^']*'([^']+)';$/gm)) {
    if (specifier.startsWith('.')) loadedBy(new URL(specifier, file), loaded);
    else loaded.add(specifier);
  }
  return loaded;
}

test('a node that reads objects of an API server loads no library for it', () => {
  const loaded = [...loadedBy(OBJECTS)];
  assert.ok(loaded.some((file) => file.endsWith('/lib/ip.ts')));
  assert.deepEqual(
    loaded.filter((one) => !one.startsWith('file:')),
    ['node:net'],
  );
});

describe('a Service', () => {
  test('absent and null fields have the defaults of Kubernetes', () => {
    const { resource, mismatches } = serviceOf(service({}));
    assert.deepEqual(mismatches, []);
    assert.deepEqual(resource, {
      namespace: 'shop',
      name: 'orders',
      annotations: {},
      type: 'ClusterIP',
      externalName: '',
      headless: false,
      clusterIps: [],
      family: 'IPv4',
      publishNotReadyAddresses: false,
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      trafficDistribution: '',
      ports: [{ name: '', port: 80, protocol: 'TCP', targetPort: 80, appProtocol: '' }],
    });
    const nulls = {
      type: null,
      externalName: null,
      clusterIP: null,
      clusterIPs: null,
      ipFamilies: null,
      publishNotReadyAddresses: null,
      internalTrafficPolicy: null,
      sessionAffinity: null,
      trafficDistribution: null,
      ports: [{ name: null, port: 80, protocol: null, targetPort: null, appProtocol: null }],
    };
    assert.deepEqual(serviceOf(service(nulls, null)).resource, resource);
  });

  test('every field that is read comes through', () => {
    const { resource } = serviceOf(
      service(
        {
          type: 'LoadBalancer',
          clusterIP: '10.96.0.1',
          clusterIPs: ['10.96.0.1', 'FD00:0::1'],
          ipFamilies: ['IPv6', 'IPv4'],
          publishNotReadyAddresses: true,
          internalTrafficPolicy: 'Local',
          sessionAffinity: 'ClientIP',
          trafficDistribution: 'PreferSameNode',
          ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'web', appProtocol: 'kubernetes.io/h2c' }],
        },
        {
          'heddle.dev/enabled': 'true',
          'mesh.traefik.io/scheme': 'http',
          'maesh.containo.us/scheme': 'http',
          'kubectl.kubernetes.io/last-applied-configuration': '{}',
        },
      ),
    );
    assert.deepEqual(resource, {
      namespace: 'shop',
      name: 'orders',
      annotations: {
        'heddle.dev/enabled': 'true',
        'mesh.traefik.io/scheme': 'http',
        'maesh.containo.us/scheme': 'http',
      },
      type: 'LoadBalancer',
      externalName: '',
      headless: false,
      clusterIps: ['10.96.0.1', 'fd00::1'],
      family: 'IPv6',
      publishNotReadyAddresses: true,
      internalTrafficPolicy: 'Local',
      sessionAffinity: 'ClientIP',
      trafficDistribution: 'PreferSameNode',
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'web', appProtocol: 'kubernetes.io/h2c' }],
    });
  });

  test('a headless one has no cluster IP and may have no ports', () => {
    const { resource } = serviceOf(service({ clusterIP: 'None', clusterIPs: ['None'], ports: null }));
    assert.deepEqual([resource?.clusterIps, resource?.ports], [[], []]);
  });

  test('an external name is kept only where it means something', () => {
    const externalName = 'shop.example';
    assert.equal(serviceOf(service({ externalName })).resource?.externalName, '');
    assert.equal(serviceOf(service({ externalName, type: 'ExternalName' })).resource?.externalName, externalName);
  });

  test('an annotation that is wrong costs itself only', () => {
    const { resource, mismatches } = serviceOf(
      service({}, { 'heddle.dev/enabled': 'true', 'heddle.dev/ports': 80, 'mesh.traefik.io/a/b': 'x' }),
    );
    assert.deepEqual(resource?.annotations, { 'heddle.dev/enabled': 'true' });
    assert.deepEqual(
      mismatches.map(({ field }) => field),
      ['metadata.annotations["heddle.dev/ports"]', 'metadata.annotations["mesh.traefik.io/a/b"]'],
    );
  });

  test('of its ports the first 1000 are read, and the others are told', () => {
    const ports = Array.from({ length: 20_000 }, (_, index) => ({ name: `p${index}`, port: index + 1 }));
    const { resource, mismatches } = serviceOf(service({ ports }));
    assert.equal(resource?.ports.length, 1000);
    assert.deepEqual(mismatches, [
      { field: 'spec.ports', expected: 'a list of at most 1000 ports (the rest gets nothing)', got: 'a list of 20000' },
    ]);
  });

  test('its family is the first that it names, else that of its first cluster IP, else IPv4', () => {
    const familyOf = (spec: Partial<ServiceObject['spec']>): unknown => serviceOf(service(spec)).resource?.family;
    assert.equal(familyOf({ ipFamilies: ['IPv6', 'IPv4'], clusterIPs: ['10.96.0.1'] }), 'IPv6');
    assert.equal(familyOf({ clusterIPs: ['fd00::1', '10.96.0.1'] }), 'IPv6');
    assert.equal(familyOf({ clusterIP: '10.96.0.1' }), 'IPv4');
    assert.equal(familyOf({ clusterIP: 'None' }), 'IPv4');
  });

  test('ports that Kubernetes would refuse together cost the Service', () => {
    const { resource, mismatches } = serviceOf(service({ ports: [{ port: 80 }, { name: 'a', port: 80 }] }));
    assert.equal(resource, undefined);
    assert.deepEqual(
      mismatches.map(({ field }) => field),
      ['spec.ports[0].name', 'spec.ports[1].port'],
    );
  });
});

describe('an EndpointSlice', () => {
  test('absent conditions mean ready, serving as ready, and not terminating', () => {
    const { resource } = endpointSliceOf(
      slice({
        endpoints: [
          { addresses: ['10.0.0.1'] },
          { addresses: ['10.0.0.1'], conditions: null },
          { addresses: ['10.0.0.1'], conditions: { ready: null, serving: null, terminating: null } },
          { addresses: ['10.0.0.1'], conditions: { ready: false } },
          { addresses: ['10.0.0.1'], conditions: { ready: false, serving: true, terminating: true } },
        ],
      }),
    );
    assert.deepEqual(
      resource?.endpoints.map(({ ready, serving, terminating }) => [ready, serving, terminating]),
      [
        [true, true, false],
        [true, true, false],
        [true, true, false],
        [false, false, false],
        [false, true, true],
      ],
    );
  });

  test('every field that is read comes through', () => {
    const hints = { forNodes: [{ name: 'n1' }], forZones: [{ name: 'z1' }, { name: 'z2' }] };
    const { resource, mismatches } = endpointSliceOf(
      slice({
        addressType: 'IPv6',
        ports: [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { port: 53, protocol: 'UDP' },
        ],
        endpoints: [{ addresses: ['fd00:0::1'], nodeName: 'n1', zone: 'z1', hints }],
      }),
    );
    assert.deepEqual(mismatches, []);
    assert.deepEqual(resource, {
      namespace: 'shop',
      name: 'orders-x',
      service: 'orders',
      addressType: 'IPv6',
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: '', port: 53, protocol: 'UDP' },
      ],
      endpoints: [
        {
          address: 'fd00::1',
          ready: true,
          serving: true,
          terminating: false,
          nodeName: 'n1',
          zone: 'z1',
          forNodes: ['n1'],
          forZones: ['z1', 'z2'],
        },
      ],
    });
  });

  test('an API server sends null for no endpoints, no ports and no hints', () => {
    const { resource } = endpointSliceOf(slice({ endpoints: null, ports: null }));
    assert.deepEqual([resource?.endpoints, resource?.ports], [[], []]);
    const endpoint = { addresses: ['10.0.0.1'], nodeName: null, zone: null, hints: { forNodes: null, forZones: null } };
    const [first] = endpointSliceOf(slice({ endpoints: [endpoint] })).resource?.endpoints ?? [];
    assert.deepEqual([first?.nodeName, first?.zone, first?.forNodes, first?.forZones], ['', '', [], []]);
  });

  test('one without the label of a Service is nothing to us, and no problem', () => {
    for (const labels of [{ app: 'orders' }, {}, null]) {
      const metadata = { name: 'a', namespace: 'shop', labels };
      assert.deepEqual(endpointSliceOf(slice({ metadata })), { resource: undefined, mismatches: [] });
    }
  });

  test('one of names instead of addresses is dropped and told', () => {
    assert.deepEqual(endpointSliceOf(slice({ addressType: 'FQDN', endpoints: [{ addresses: ['a.example'] }] })), {
      resource: undefined,
      mismatches: [{ field: 'addressType', expected: 'IPv4 or IPv6', got: '"FQDN"' }],
    });
  });

  test('an address of another family costs the slice', () => {
    const { resource, mismatches } = endpointSliceOf(slice({ endpoints: [{ addresses: ['fd00::1'] }] }));
    assert.equal(resource, undefined);
    assert.deepEqual(mismatches, [
      { field: 'endpoints[0].addresses[0]', expected: 'an IPv4 address', got: '"fd00::1"' },
    ]);
  });

  test('of the addresses of an endpoint only the first is read', () => {
    const addresses = new Proxy(['10.0.0.1', 'fd00::1', 'x'], {
      get: (target, key) => {
        assert.ok(key === '0' || typeof key === 'symbol' || !/^\d+$/.test(key), `Read ${String(key)}`);
        return Reflect.get(target, key) as unknown;
      },
    });
    const { resource, mismatches } = endpointSliceOf(slice({ endpoints: [{ addresses }] }));
    assert.equal(resource?.endpoints[0]?.address, '10.0.0.1');
    assert.deepEqual(mismatches, []);
  });

  test('of its ports the first 100 are read, and the others are told', () => {
    const ports = Array.from({ length: 20_000 }, (_, index) => ({ name: `p${index}`, port: index + 1 }));
    const { resource, mismatches } = endpointSliceOf(slice({ ports }));
    assert.equal(resource?.ports.length, 100);
    assert.deepEqual(mismatches, [
      { field: 'ports', expected: 'a list of at most 100 ports (the rest gets nothing)', got: 'a list of 20000' },
    ]);
  });

  test('a port without a number costs itself only', () => {
    const { resource, mismatches } = endpointSliceOf(slice({ ports: [{ name: 'a', port: null }, { port: 80 }] }));
    assert.deepEqual(resource?.ports, [{ name: '', port: 80, protocol: 'TCP' }]);
    assert.deepEqual(
      mismatches.map(({ field }) => field),
      ['ports[0].port'],
    );
  });

  test('at most 20 mismatches are told', () => {
    const endpoints = Array.from({ length: 1000 }, () => ({ addresses: ['x'] }));
    assert.equal(endpointSliceOf(slice({ endpoints })).mismatches.length, 20);
  });

  test('10,000 slices of 10 endpoints are read in a moment', (t) => {
    const text = JSON.stringify(
      slice({
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        endpoints: Array.from({ length: 10 }, (_, index) => ({
          addresses: [`10.1.2.${index}`],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: `node-${index}`,
          zone: 'zone-a',
        })),
      }),
    );
    const objects = Array.from({ length: 10_000 }, () => JSON.parse(text) as EndpointSliceObject);
    const began = performance.now();
    let endpoints = 0;
    for (const object of objects) endpoints += endpointSliceOf(object).resource?.endpoints.length ?? 0;
    const tookMs = performance.now() - began;
    t.diagnostic(`${tookMs.toFixed(0)} ms`);
    assert.equal(endpoints, 100_000);
    // A twentieth of a second to a fifth; the machine may be busy with other things.
    assert.ok(tookMs < 5000, `${tookMs.toFixed(0)} ms`);
  });
});

describe('a Namespace', () => {
  test('only annotations of ours are kept', () => {
    const annotations = { 'heddle.dev/enabled': 'true', 'mesh.traefik.io/scheme': 'http', 'x': 'y' };
    assert.deepEqual(namespaceOf({ metadata: { name: 'shop', annotations } }), {
      resource: { name: 'shop', annotations: { 'heddle.dev/enabled': 'true' } },
      mismatches: [],
    });
  });

  test('one without annotations has none', () => {
    assert.deepEqual(namespaceOf({ metadata: { name: 'shop', annotations: null } }).resource?.annotations, {});
  });
});

describe('a Pod', () => {
  const metadata = { name: 'orders-1', namespace: 'shop', labels: { app: 'orders' } };

  test('every field that is read comes through', () => {
    const status = { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }, { ip: 'FD00::1' }] };
    assert.deepEqual(podOf({ metadata, spec: { serviceAccountName: 'seller', hostNetwork: true }, status }), {
      resource: {
        namespace: 'shop',
        name: 'orders-1',
        serviceAccount: 'seller',
        labels: { app: 'orders' },
        addresses: ['10.1.0.1', 'fd00::1'],
        hostNetwork: true,
        ended: false,
      },
      mismatches: [],
    });
  });

  test('one that waits for its node has no address', () => {
    for (const status of [undefined, null, { phase: 'Pending' }, { podIP: null, podIPs: null }, { podIP: '' }]) {
      const { resource, mismatches } = podOf({ metadata: { ...metadata, labels: null }, spec: {}, status });
      assert.deepEqual(mismatches, []);
      assert.deepEqual([resource?.addresses, resource?.labels, resource?.serviceAccount], [[], {}, '']);
    }
  });

  test('its containers have ended in two phases only', () => {
    const ended = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown', null].filter(
      (phase) => podOf({ metadata, spec: {}, status: { phase } }).resource?.ended,
    );
    assert.deepEqual(ended, ['Succeeded', 'Failed']);
  });

  test('an address that is none costs itself only', () => {
    const status = { podIPs: [{ ip: '10.0.0.01' }, { ip: 'fd00::1' }] };
    const { resource, mismatches } = podOf({ metadata, spec: {}, status });
    assert.deepEqual(resource?.addresses, ['fd00::1']);
    assert.deepEqual(mismatches, [{ field: 'status.podIPs[0].ip', expected: 'an IP address', got: '"10.0.0.01"' }]);
  });
});

describe('a Node', () => {
  test('its zone is that of its label, its addresses are the internal ones', () => {
    const labels = { 'topology.kubernetes.io/zone': 'zone-a' };
    const addresses = [
      { type: 'InternalIP', address: '192.168.0.1' },
      { type: 'InternalIP', address: 'FD00::1' },
      { type: 'ExternalIP', address: '198.51.100.1' },
      { type: 'Hostname', address: 'n1' },
    ];
    assert.deepEqual(nodeOf({ metadata: { name: 'n1', labels }, status: { addresses } }), {
      resource: { name: 'n1', zone: 'zone-a', addresses: ['192.168.0.1', 'fd00::1'] },
      mismatches: [],
    });
  });

  test('one of which little is known has no zone and no address', () => {
    for (const status of [undefined, null, { addresses: null }]) {
      assert.deepEqual(nodeOf({ metadata: { name: 'n1' }, status }).resource, { name: 'n1', zone: '', addresses: [] });
    }
  });

  test('an internal address that is none costs itself only', () => {
    const addresses = [{ type: 'InternalIP', address: 'n1.example' }];
    const { resource, mismatches } = nodeOf({ metadata: { name: 'n1' }, status: { addresses } });
    assert.deepEqual(resource?.addresses, []);
    assert.deepEqual(
      mismatches.map(({ field }) => field),
      ['status.addresses[0].address'],
    );
  });
});
