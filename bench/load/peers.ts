import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { NODE_FLAGS } from '../../bin/find-node.js';
import { HOST, untilReady } from './fetch.ts';
import { freePort } from './machine.ts';
import { envoyCommand, findProgram, type Found, nginxCommand } from './programs.ts';
import type { Command, Running, Stage } from './stage.ts';

/** Everything a peer needs to know to write its configuration. All of them forward to the same two upstreams. */
export interface Setup {
  /** A folder of its own. */
  readonly folder: string;
  readonly port: number;
  /** A second free port, for peers that answer probes elsewhere. */
  readonly probePort: number;
  readonly upstreams: readonly number[];
  /** Where spans may be sent: something that takes them and throws them away. */
  readonly collectorPort: number;
}

/** A proxy to measure. */
export interface Peer {
  readonly name: string;
  readonly find: () => Found;
  /** Writes its configuration into its folder and says how to start it, in the foreground. */
  readonly prepare: (setup: Setup) => Command;
  /** Somebody reads this path of its `probePort` as long as it runs. */
  readonly watch?: string;
  /** How it differs from its defaults, for the reader of the table. */
  readonly says: string;
}

/** How a variant of Heddle differs from it as it comes. */
interface HeddleVariant {
  /** In place of those that all have. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Of its Service. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** More manifests. */
  readonly objects?: readonly ((upstreams: readonly number[]) => object)[];
}

const REPOSITORY = resolve(import.meta.dirname, '../..');

/** All of resilience, none of which acts: the upstreams are well, and the limits are far away. */
const RESILIENT = {
  'heddle.dev/outlier': 'consecutive=5, success-rate<50%',
  'heddle.dev/health-check': 'path /128b, every 1s, timeout 1s',
  'heddle.dev/circuit-breaker-expression': 'NetworkErrorRatio() > 0.5 || LatencyAtQuantileMS(99.0) > 5000',
  'heddle.dev/ratelimit-average': '1000000',
  'heddle.dev/ratelimit-per': 'source',
  'heddle.dev/max-in-flight': '5000',
  'heddle.dev/max-queue': '5000, 1s',
  'heddle.dev/timeout-request': '10s',
  'heddle.dev/timeout-try': '5s',
  'heddle.dev/retry-attempts': '2',
  'heddle.dev/retry-on': 'connect-failure, reset, timeout-try, 5xx',
  'heddle.dev/retry-budget': '10% + 5/s over 10s',
};

/** Every peer, in the order of the table. All have one worker or thread, except where `says` tells. */
export const PEERS: readonly Peer[] = [
  {
    name: 'nginx',
    find: () => findProgram('nginx'),
    prepare: prepareNginx,
    says: '1 worker, keeps 256 idle upstream connections, 16 buffers of 8 KiB',
  },
  {
    name: 'haproxy',
    find: () => findProgram('haproxy'),
    prepare: prepareHaproxy,
    says: '1 thread, http-reuse always',
  },
  {
    name: 'envoy',
    find: () => findProgram('envoy'),
    prepare: (setup) => envoyCommand(setup),
    says: 'concurrency 1, no access log',
  },
  {
    name: 'traefik',
    find: () => findProgram('traefik'),
    prepare: prepareTraefik,
    says: 'GOMAXPROCS=1, no access log',
  },
  { name: 'http-proxy', find: findHttpProxy, prepare: prepareHttpProxy, says: 'one thread, keep-alive agent' },
  heddle('heddle', 'as it comes: metrics, errors in the access log'),
  heddle('heddle-rules', 'through an HTTPRoute: header match, split 90/10, edits of both heads', {
    objects: [webTwo, webRoute],
  }),
  heddle('heddle-resilient', 'with ejection, checks, breaker, limits, deadlines and retries', {
    annotations: RESILIENT,
  }),
  heddle('heddle-reuseport', '--accept reuseport', { flags: { accept: 'reuseport' } }),
  heddle('heddle-1worker', 'one worker', { flags: { workers: '1' } }),
  heddle('heddle-1worker-reuseport', 'one worker, --accept reuseport', {
    flags: { workers: '1', accept: 'reuseport' },
  }),
  heddle('heddle-nolog', 'no access log', { flags: { 'access-log': 'off' } }),
  heddle('heddle-log', 'every exchange in the access log, to a file', { flags: { 'access-log': 'all' } }),
  heddle('heddle-trace1', '1 % traced', { flags: { 'trace-sample': '1%' } }),
  heddle('heddle-trace100', 'all traced', { flags: { 'trace-sample': '100%' } }),
  heddle('heddle-all', 'every exchange in the access log, 1 % traced', {
    flags: { 'access-log': 'all', 'trace-sample': '1%' },
  }),
  { ...heddle('heddle-tap', 'somebody watches every exchange'), watch: '/tap' },
];

/** What a start needs beside the peer. */
export interface PeerStart {
  /** Of the peer, if there are several of it. */
  readonly name?: string;
  readonly upstreams: readonly number[];
  /** 0: nobody takes spans. */
  readonly collectorPort?: number;
  readonly core?: number | undefined;
  /** Fails unless what listens there answers as it should. */
  readonly ask: (port: number) => Promise<unknown>;
}

/** A peer that answers. */
export interface StartedPeer {
  readonly running: Running;
  readonly port: number;
  readonly probePort: number;
}

/** Starts a peer on free ports; one that does not become ready is ended. */
export async function startPeer(
  stage: Stage,
  peer: Peer,
  { name = peer.name, upstreams, collectorPort = 0, core, ask }: PeerStart,
): Promise<StartedPeer> {
  const [port, probePort] = [await freePort(), await freePort()];
  const command = peer.prepare({ folder: stage.folder(name), port, probePort, upstreams, collectorPort });
  const running = stage.start(name, command, core);
  try {
    await untilReady(name, running, () => ask(port));
  } catch (error) {
    await stage.stop(running);
    throw error;
  }
  return { running, port, probePort };
}

/**
 * The buffers hold the largest reply. With its own 8 of 4 KiB a reply of 64 KiB costs nginx twice as much, and a goal that
 * is a multiple of its cost would be easy to reach.
 */
function prepareNginx({ folder, port, upstreams }: Setup): Command {
  return nginxCommand(
    folder,
    `  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream web {
${upstreams.map((upstream) => `    server 127.0.0.1:${upstream};`).join('\n')}
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_buffer_size 8k;
      proxy_buffers 16 8k;
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }`,
  );
}

function prepareHaproxy({ folder, port, upstreams }: Setup): Command {
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  option forwardfor
  http-reuse always
frontend entry
  bind 127.0.0.1:${port} backlog 4096
  default_backend web
backend web
  balance roundrobin
${upstreams.map((upstream, index) => `  server web${index} 127.0.0.1:${upstream}`).join('\n')}
`,
  );
  return { program: 'haproxy', args: ['-db', '-f', join(folder, 'haproxy.cfg')] };
}

function prepareTraefik({ folder, port, upstreams }: Setup): Command {
  // JSON is YAML, and one notation in this file is enough.
  writeFileSync(
    join(folder, 'traefik.yml'),
    JSON.stringify({
      global: { checkNewVersion: false, sendAnonymousUsage: false },
      log: { level: 'ERROR' },
      entryPoints: { entry: { address: `127.0.0.1:${port}` } },
      providers: { file: { filename: join(folder, 'routes.yml') } },
    }),
  );
  writeFileSync(
    join(folder, 'routes.yml'),
    JSON.stringify({
      http: {
        routers: { web: { rule: 'PathPrefix(`/`)', service: 'web', entryPoints: ['entry'] } },
        services: {
          web: { loadBalancer: { servers: upstreams.map((upstream) => ({ url: `http://127.0.0.1:${upstream}` })) } },
        },
      },
    }),
  );
  return { program: 'traefik', args: [`--configFile=${join(folder, 'traefik.yml')}`], env: { GOMAXPROCS: '1' } };
}

/** It is a package of its own folder, installed when it is first asked for; the project itself never depends on it. */
function findHttpProxy(): Found {
  const manifest = 'http-proxy/package.json';
  const load = createRequire(import.meta.filename);
  try {
    if (!existsSync(join(import.meta.dirname, 'node_modules', manifest))) {
      execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
        cwd: import.meta.dirname,
        stdio: 'pipe',
        timeout: 120_000,
      });
    }
    return { version: (load(manifest) as { readonly version: string }).version };
  } catch (error) {
    return { absent: `npm could not install it: ${(error as Error).message.split('\n')[0]}` };
  }
}

function prepareHttpProxy({ port, upstreams }: Setup): Command {
  return {
    program: process.execPath,
    args: [join(import.meta.dirname, 'http-proxy.js'), String(port), ...upstreams.map(String)],
  };
}

/** Heddle, as it comes but for the variant. */
export function heddle(name: string, says: string, variant: HeddleVariant = {}): Peer {
  return { name, find: findHeddle, prepare: (setup) => prepareHeddle(setup, variant), says };
}

/** The built output is measured: it is what the image runs, and the loader for .ts files takes memory in each thread. */
function findHeddle(): Found {
  if (!existsSync(join(REPOSITORY, 'dist/cli.js'))) return { absent: 'no dist/cli.js: run npm run build' };
  try {
    return {
      version: execFileSync('git', ['describe', '--always', '--dirty'], {
        cwd: REPOSITORY,
        encoding: 'utf8',
        stdio: 'pipe',
      }).trim(),
    };
  } catch {
    return { version: 'not a git checkout' };
  }
}

function service(
  name: string,
  enabled: string,
  upstreams: readonly number[],
  more: HeddleVariant['annotations'] = {},
): object {
  const endpoints = upstreams.map((upstream) => `127.0.0.1:${upstream}`).join(',');
  const annotations = { 'heddle.dev/enabled': enabled, 'heddle.dev/endpoints': endpoints, ...more };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'bench', annotations },
    spec: { ports: [{ port: 80 }] },
  };
}

function webTwo(upstreams: readonly number[]): object {
  return service('web2', 'false', upstreams);
}

/** What is asked for carries no field beside Host. */
function webRoute(): object {
  const set = [{ name: 'x-env', value: 'bench' }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'web', namespace: 'bench' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
      rules: [
        { matches: [{ headers: [{ name: 'x-user', value: '7' }] }], backendRefs: [{ name: 'web2', port: 80 }] },
        {
          matches: [{ headers: [{ name: 'host', value: HOST }] }],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { set, remove: ['x-gone'] } },
            { type: 'ResponseHeaderModifier', responseHeaderModifier: { set } },
          ],
          backendRefs: [
            { name: 'web', port: 80, weight: 90 },
            { name: 'web2', port: 80, weight: 10 },
          ],
        },
      ],
    },
  };
}

function prepareHeddle(
  { folder, port, probePort, upstreams, collectorPort }: Setup,
  { flags: own = {}, annotations, objects = [] }: HeddleVariant,
): Command {
  const items = [service('web', 'true', upstreams, annotations), ...objects.map((make) => make(upstreams))];
  writeFileSync(join(folder, 'web.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const flags = {
    'discovery': 'files',
    'manifests': folder,
    'mesh-listen': `127.0.0.1:${port}`,
    'probe-listen': 'off',
    'bridge-listen': 'off',
    'admin-listen': `127.0.0.1:${probePort}`,
    'workers': '2',
    // The defaults bound what one client address may hold; here one address is the whole load.
    'limit-connections': '16384',
    'limit-connections-per-source': '16384',
    ...('trace-sample' in own ? { 'otlp-endpoint': `http://127.0.0.1:${collectorPort}` } : {}),
    ...own,
  };
  return {
    program: process.execPath,
    // As the launcher starts it.
    args: [
      ...NODE_FLAGS,
      join(REPOSITORY, 'dist/cli.js'),
      'run',
      ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]),
    ],
  };
}
