import type { Resources } from '../../../src/model/resource.ts';

const REF = { group: '', kind: 'Service', namespace: 'shop', name: 'orders-v2', port: 80 };
const FILTER = {
  type: 'RequestMirror',
  requestHeaderModifier: { set: [{ name: 'a', value: '1' }], add: [], remove: ['b'] },
  requestMirror: { backendRef: REF, percent: 10, fraction: { numerator: 1, denominator: 3 } },
  requestRedirect: { scheme: 'https', hostname: 'x', port: 443, statusCode: 302 },
  urlRewrite: { hostname: 'y', path: { type: 'ReplaceFullPath', replaceFullPath: '/' } },
  cors: {
    allowOrigins: ['*'],
    allowMethods: ['GET'],
    allowHeaders: ['a'],
    exposeHeaders: ['b'],
    allowCredentials: true,
    maxAge: 5,
  },
};

/** One object of each kind with every field: where this does not compile any more, the version of the format must rise. */
export const RESOURCES: Required<Resources> = {
  services: [
    {
      namespace: 'shop',
      name: 'orders',
      annotations: { 'heddle.dev/enabled': 'true' },
      type: 'ClusterIP',
      externalName: '',
      headless: false,
      clusterIps: ['10.96.0.7'],
      family: 'IPv4',
      publishNotReadyAddresses: false,
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      trafficDistribution: 'PreferClose',
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'web', appProtocol: '' }],
    },
  ],
  endpointSlices: [
    {
      namespace: 'shop',
      name: 'orders-1',
      service: 'orders',
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          address: '10.1.0.7',
          ready: true,
          serving: true,
          terminating: false,
          nodeName: 'node-1',
          zone: 'a',
          forNodes: [],
          forZones: ['a'],
        },
      ],
    },
  ],
  namespaces: [{ name: 'shop', annotations: {} }],
  pods: [
    {
      namespace: 'shop',
      name: 'web-1',
      serviceAccount: 'web',
      labels: { app: 'wéb\n' },
      addresses: ['10.1.0.9'],
      hostNetwork: false,
      ended: false,
    },
  ],
  node: { name: 'node-1', zone: 'a', addresses: ['192.168.0.1'] },
  subscriptions: [
    {
      namespace: 'shop',
      name: 'orders-to-billing',
      subjects: ['orders.>'],
      stream: 'ORDERS',
      mode: 'jetstream',
      from: 'all',
      service: { name: 'billing', port: 'http' },
      path: '/events/{subject[1]}',
      content: 'structured',
      filters: [{ exact: { type: 'order.created' }, prefix: {} }],
      concurrency: 8,
      timeout: '10s',
      retry: { maxAttempts: 0, base: '1s', cap: '5m' },
      deadLetter: 'dlq.orders',
    },
  ],
  natsPolicies: [
    {
      name: 'shop',
      from: [{ namespaces: ['shop'], podLabels: { app: 'web' }, addresses: ['10.0.0.0/8'], serviceAccounts: [] }],
      publish: { allow: ['orders.>'], deny: ['orders.admin.>'] },
      request: { allow: [], deny: [] },
      subscribe: { allow: ['orders.*'], deny: [] },
      streams: ['ORDERS'],
      consumers: ['ORDERS/mine'],
      kv: { carts: 'rw' },
      maxPayload: '256KiB',
      rate: '500/s',
      headers: ['Nats-TTL'],
    },
  ],
  httpRoutes: [
    {
      kind: 'HTTPRoute',
      namespace: 'shop',
      name: 'orders',
      created: '2026-11-20T08:00:00Z',
      generation: 7,
      parentRefs: [{ group: '', kind: 'Service', namespace: 'shop', name: 'orders', port: 80, sectionName: 'http' }],
      hostnames: ['orders.example'],
      rules: [
        {
          name: 'new',
          matches: [
            {
              path: { type: 'PathPrefix', value: '/cart' },
              method: 'GET',
              headers: [{ type: 'Exact', name: 'x-user', value: '7' }],
              queryParams: [{ type: 'RegularExpression', name: 'q', value: 'a+' }],
            },
          ],
          filters: [FILTER],
          backendRefs: [{ ...REF, weight: 90, filters: [] }],
          timeouts: { request: '5s', backendRequest: '1s' },
          retry: { attempts: 2, codes: [503], backoff: '100ms' },
          sessionPersistence: { type: 'Cookie', name: 's', absoluteTimeout: '1h', lifetimeType: 'Session', path: '/' },
        },
      ],
    },
  ],
  grpcRoutes: [
    {
      kind: 'GRPCRoute',
      namespace: 'shop',
      name: 'stock',
      created: '',
      generation: 0,
      parentRefs: [],
      hostnames: [],
      rules: [],
    },
  ],
  referenceGrants: [
    {
      namespace: 'shop',
      name: 'web',
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'web' }],
      to: [{ group: '', kind: 'Service', name: '' }],
    },
  ],
  trafficSplits: [
    {
      namespace: 'shop',
      name: 'orders',
      created: '2026-11-20T08:00:00Z',
      service: 'orders',
      matches: [{ kind: 'HTTPRouteGroup', name: 'cart' }],
      backends: [{ service: 'orders-v2', weight: 0.9 }],
    },
  ],
  httpRouteGroups: [
    {
      namespace: 'shop',
      name: 'cart',
      field: 'spec.matches',
      matches: [{ name: 'all', pathRegex: '/cart', methods: ['*'], headers: { 'x-user': '7' } }],
    },
  ],
};
