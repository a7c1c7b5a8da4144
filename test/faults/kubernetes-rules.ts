import { once } from 'node:events';
import http from 'node:http';
import { ApiServer, type NewObject } from '../harness/api-server.ts';
import { eventually, sleep } from '../harness/client.ts';
import { Flips } from '../harness/flips.ts';
import { Mesh } from '../harness/mesh.ts';
import { RoutedLoad } from '../harness/routed-load.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';
import { route, to } from '../harness/rules-scene.ts';
import { noteLoad } from './rules-weights.ts';

const PORT = 8081;
const ADDRESSES = { v1: '10.1.0.1', v2: '10.1.0.2' } as const;
const ROUTES = '/apis/gateway.networking.k8s.io/v1/httproutes';
const SPLITS = '/apis/split.smi-spec.io/v1alpha4/trafficsplits';
const OTHERS = ['/apis/gateway.networking.k8s.io/v1/grpcroutes', '/apis/specs.smi-spec.io/v1alpha4/httproutegroups'];
const WORKERS = 4;
const CLIENTS = 12;
const ASK_EVERY_MS = 5;
const FLIPS = 40;
const FLIP_EVERY_MS = 300;
const IN_FORCE_MS_MAX = 250;
const WAIT_MS = 20_000;

/** From the watch event of a changed weight to the last request that weight 0 got, for HTTPRoutes and TrafficSplits. */
export async function weightsOfApiServer(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const note = (what: string, measured: string, wanted: string, ok: Verdict): void => {
    figures.push({ scenario: 'kubernetes-rules', what, measured, wanted, ok });
  };
  const endpoints = await startEndpoints();
  const server = await startServer();
  const discovery = ['--discovery=kubernetes', `--kubeconfig=${server.kubeconfig()}`, '--node-name=n1'];
  putWeights(server, 'HTTPRoute', 'v1');
  const mesh = await Mesh.start({ services: [], discovery, workers: WORKERS });
  const flips = new Flips();
  const load = new RoutedLoad(mesh.port, {
    clients: CLIENTS,
    everyMs: ASK_EVERY_MS,
    request: () => 'GET / HTTP/1.1\r\nHost: orders.shop\r\n\r\n',
    judge: ({ line, status }) => (status === 200 ? '' : line),
    onAnswered: (answered) => {
      flips.note(answered);
    },
  });
  for (const kind of ['HTTPRoute', 'TrafficSplit'] as const) {
    flips.latenciesMs.length = 0;
    for (let flip = 0; flip < FLIPS; flip++) {
      await sleep(FLIP_EVERY_MS * Math.random());
      const wanted = flip % 2 === 0 ? 'v2' : 'v1';
      flips.begin(wanted, performance.now());
      putWeights(server, kind, wanted);
      await sleep(FLIP_EVERY_MS);
      await eventually(() => flips.hasReached(CLIENTS), { what: `${wanted} to answer everybody`, waitMs: WAIT_MS });
      flips.end();
    }
    const max = Math.max(...flips.latenciesMs);
    const what = `${kind}, ${WORKERS} workers: from the event to the last request to weight 0`;
    note(`${what}, p50 of ${FLIPS}`, milliseconds(quantile(flips.latenciesMs, 0.5)), '', true);
    note(`${what}, max`, milliseconds(max), `<= ${IN_FORCE_MS_MAX} ms`, pace(max, IN_FORCE_MS_MAX));
    // As it is for a TrafficSplit, with which the next round begins: nobody but v1 answers meanwhile.
    putWeights(server, 'TrafficSplit', 'v1');
    if (kind === 'HTTPRoute') server.remove(ROUTES, 'orders', 'shop');
  }
  await load.stop();
  noteLoad('weights by API server', load, 1000, note);
  await mesh.stop();
  await server.stop();
  endpoints.close().closeAllConnections();
  return figures;
}

/** Says at which address it was asked. */
async function startEndpoints(): Promise<http.Server> {
  const server = http.createServer(({ socket }, response) =>
    response.end(socket.localAddress === ADDRESSES.v2 ? 'v2' : 'v1'),
  );
  server.listen(PORT, '0.0.0.0');
  await once(server, 'listening');
  return server;
}

async function startServer(): Promise<ApiServer> {
  const server = await ApiServer.start({ protocol: 'h2' });
  for (const path of [ROUTES, SPLITS, ...OTHERS]) server.define(path);
  server.put('/api/v1/namespaces', { metadata: { name: 'shop' } });
  server.put('/api/v1/nodes', { metadata: { name: 'n1' } });
  const services = { orders: 'true', v1: 'false', v2: 'false' };
  for (const [name, enabled] of Object.entries(services)) {
    const metadata = { name, namespace: 'shop', annotations: { 'heddle.dev/enabled': enabled } };
    server.put('/api/v1/services', { metadata, spec: { ports: [{ port: 80 }] } });
  }
  for (const [name, address] of Object.entries(ADDRESSES))
    server.put('/apis/discovery.k8s.io/v1/endpointslices', {
      metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ port: PORT }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    });
  return server;
}

function putWeights(server: ApiServer, kind: 'HTTPRoute' | 'TrafficSplit', wanted: string): void {
  const [v1, v2] = [Number(wanted === 'v1'), Number(wanted === 'v2')];
  if (kind === 'HTTPRoute') {
    server.put(ROUTES, route('orders', [{ backendRefs: [to('v1', v1), to('v2', v2)] }]) as NewObject);
    return;
  }
  const backends = [
    { service: 'v1', weight: v1 },
    { service: 'v2', weight: v2 },
  ];
  server.put(SPLITS, { metadata: { name: 'orders', namespace: 'shop' }, spec: { service: 'orders', backends } });
}
