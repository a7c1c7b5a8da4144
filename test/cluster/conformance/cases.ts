import { type Case, CONSUMER, type Expected, exactly, below, pairs, PRODUCER, route, setOnReply } from './case.ts';
import { headerCases } from './header-cases.ts';
import { redirectCases } from './redirect-cases.ts';

const ECHO = { service: 'echo', port: 80 };
const V1 = [{ name: 'echo-v1', port: 8080 }];
const V2 = [{ name: 'echo-v2', port: 8080 }];
const MARKED = { 'x-header-set': 'set' };
const UNMARKED = { 'x-header-set': undefined };

/** Marks the replies to those who ask for echo-v2. */
const frontend = route('frontend', { service: 'echo-v2' }, [
  { filters: [setOnReply('X-Header-Set', 'set')], backendRefs: [{ name: 'echo-v2', port: 80 }] },
]);

const frontendCases: readonly Case[] = [
  {
    name: 'MeshBasic',
    routes: [],
    exchanges: [{ request: { host: 'echo' } }],
  },
  {
    name: 'MeshFrontend',
    routes: [frontend],
    exchanges: [
      { request: { host: 'echo-v2' }, backend: 'echo-v2', headers: MARKED },
      { request: { to: { by: 'pod', name: 'echo-v2' } }, backend: 'echo-v2', headers: UNMARKED },
    ],
  },
  {
    name: 'MeshFrontendHostname',
    routes: [frontend],
    exchanges: [
      {
        request: { to: { by: 'cluster-ip', name: 'echo-v2' }, host: 'echo-v1' },
        backend: 'echo-v2',
        headers: MARKED,
      },
      {
        request: { to: { by: 'cluster-ip', name: 'echo-v1' }, host: 'echo-v2' },
        backend: 'echo-v1',
        headers: UNMARKED,
      },
    ],
  },
  {
    name: 'MeshPorts',
    routes: [
      route('one-port', { service: 'echo-v1', port: 80 }, [
        { filters: [setOnReply('X-Header-Set', 'v1')], backendRefs: [{ name: 'echo-v1', port: 80 }] },
      ]),
      route('all-ports', { service: 'echo-v2' }, [
        { filters: [setOnReply('X-Header-Set', 'v2')], backendRefs: [{ name: 'echo-v2', port: 80 }] },
      ]),
    ],
    exchanges: [
      { request: { host: 'echo-v1' }, backend: 'echo-v1', headers: { 'x-header-set': 'v1' } },
      { request: { host: 'echo-v1:8080' }, backend: 'echo-v1', headers: UNMARKED },
      { request: { host: 'echo-v2' }, backend: 'echo-v2', headers: { 'x-header-set': 'v2' } },
      { request: { host: 'echo-v2:8080' }, backend: 'echo-v2', headers: { 'x-header-set': 'v2' } },
    ],
  },
  {
    name: 'MeshConsumerRoute',
    routes: [
      route('consumer', { service: 'echo-v1', from: CONSUMER }, [
        {
          filters: [setOnReply('X-Header-Set', 'set')],
          backendRefs: [{ name: 'echo-v1', namespace: PRODUCER, port: 80 }],
        },
      ]),
    ],
    exchanges: [
      { from: CONSUMER, request: { host: `echo-v1.${PRODUCER}` }, backend: 'echo-v1', headers: MARKED },
      { request: { host: `echo-v1.${PRODUCER}` }, backend: 'echo-v1', headers: UNMARKED },
    ],
  },
];

function goes(path: string, backend: Expected['backend'], headers: Readonly<Record<string, string>> = {}): Expected {
  return { request: { path, headers }, ...(backend === undefined ? { status: 404 } : { backend }) };
}

const matchCases: readonly Case[] = [
  {
    name: 'MeshTrafficSplit',
    routes: [
      route('split', { service: 'echo' }, [
        { matches: [exactly('/v1')], backendRefs: [{ name: 'echo-v1', port: 80 }] },
        { matches: [exactly('/v2')], backendRefs: [{ name: 'echo-v2', port: 80 }] },
      ]),
    ],
    exchanges: [goes('/v1', 'echo-v1'), goes('/v2', 'echo-v2')],
  },
  {
    name: 'MeshHTTPRouteSimpleSameNamespace',
    routes: [route('simple', ECHO, [{ backendRefs: V1 }])],
    exchanges: [goes('/', 'echo-v1')],
  },
  {
    name: 'MeshHTTPRouteMatching',
    routes: [
      route('matching', ECHO, [
        { matches: [below('/'), { headers: pairs({ version: 'one' }) }], backendRefs: V1 },
        { matches: [below('/v2'), { headers: pairs({ version: 'two' }) }], backendRefs: V2 },
      ]),
    ],
    exchanges: [
      goes('/', 'echo-v1'),
      goes('/example', 'echo-v1'),
      goes('/', 'echo-v1', { Version: 'one' }),
      goes('/v2', 'echo-v2'),
      goes('/v2/example', 'echo-v2'),
      goes('/', 'echo-v2', { Version: 'two' }),
      goes('/v2/', 'echo-v2'),
      // Prefixes go by whole elements.
      goes('/v2example', 'echo-v1'),
      goes('/foo/v2/example', 'echo-v1'),
    ],
  },
  {
    name: 'MeshHTTPRouteQueryParamMatching',
    routes: [
      route('query', ECHO, [
        { matches: [{ queryParams: pairs({ animal: 'whale' }) }], backendRefs: V1 },
        { matches: [{ queryParams: pairs({ animal: 'dolphin' }) }], backendRefs: V2 },
        { matches: [{ ...below('/path1'), queryParams: pairs({ animal: 'whale' }) }], backendRefs: V1 },
        {
          matches: [{ headers: pairs({ version: 'one' }), queryParams: pairs({ animal: 'whale' }) }],
          backendRefs: V2,
        },
        {
          matches: [
            { ...below('/path3'), queryParams: pairs({ animal: 'shark' }) },
            {
              ...below('/path4'),
              headers: pairs({ version: 'three' }),
              queryParams: pairs({ animal: 'kraken' }),
            },
          ],
          backendRefs: V1,
        },
        { matches: [below('/path5')], backendRefs: V1 },
        { matches: [{ queryParams: pairs({ animal: 'hydra' }) }], backendRefs: V2 },
      ]),
    ],
    exchanges: [
      goes('/?animal=whale', 'echo-v1'),
      goes('/?animal=dolphin', 'echo-v2'),
      goes('/?animal=whale&otherparam=irrelevant', 'echo-v1'),
      goes('/?animal=dolphin&color=yellow', 'echo-v2'),
      goes('/?color=blue', undefined),
      goes('/?animal=dog', undefined),
      goes('/?animal=whaledolphin', undefined),
      goes('/', undefined),
      goes('/path1?animal=whale', 'echo-v1'),
      goes('/?animal=whale', 'echo-v2', { version: 'one' }),
      goes('/path3?animal=shark', 'echo-v1'),
      goes('/path4?animal=kraken', 'echo-v1', { version: 'three' }),
      goes('/?animal=shark', undefined),
      goes('/path4?animal=kraken', undefined),
      goes('/path5?animal=hydra', 'echo-v1'),
    ],
  },
  {
    name: 'MeshHTTPRouteNamedRule',
    routes: [
      route('named', ECHO, [
        { name: 'named-rule', matches: [below('/named')], backendRefs: V1 },
        { matches: [below('/unnamed')], backendRefs: V2 },
      ]),
    ],
    exchanges: [goes('/named', 'echo-v1'), goes('/unnamed', 'echo-v2')],
  },
];

/** All of them that are about HTTP, but for MeshHTTPRouteWeight, which is about many requests. */
export const CASES: readonly Case[] = [...frontendCases, ...matchCases, ...headerCases(ECHO), ...redirectCases(ECHO)];

export const WEIGHT_ROUTE = route('weight', ECHO, [
  {
    backendRefs: [
      { name: 'echo-v1', port: 8080, weight: 70 },
      { name: 'echo-v2', port: 8080, weight: 30 },
    ],
  },
]);
/** Of echo-v1. */
export const WEIGHT_SHARE = 0.7;
