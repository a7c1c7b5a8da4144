import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { harmless } from '../lib/shown.ts';
import type { Addresses } from '../main.ts';
import type { ListenAddress, Settings } from '../model/settings.ts';
import { AdminClient } from './client.ts';
import { writeManifests } from './demo/folder.ts';
import { type DemoNats, startNats } from './demo/nats.ts';
import { type Others, startOthers } from './demo/others.ts';
import type { Look } from './demo/picture.ts';
import { freeAddresses } from './demo/ports.ts';
import { farewellText, guideText } from './demo/texts.ts';
import { Watch } from './demo/watch.ts';
import { startNode } from './start.ts';

const EXAMPLES = `
Three small Services run on loopback ports, and a mesh in front of them on port 4140: two of them are in the mesh,
one has not opted in. Their manifests are copied to a folder where you edit them; the mesh obeys what you save.
Messages go through a bridge to NATS on port 4280: to your server, else to nats-server if that is on the PATH, else to a
small broker of the demo, which keeps nothing. A fourth Service gets them.

Examples:
  heddle demo
  heddle demo --folder ./shop                  the manifests in ./shop, which stays there
  HEDDLE_MESH_LISTEN=127.0.0.1:8080 heddle demo
  heddle demo --nats-url nats://127.0.0.1:4222 messages go through your own NATS server
  heddle demo --no-traffic | cat               without a terminal: lines about what changes

HEDDLE_ variables apply as for heddle run; a port that is taken gives way to the next free one.
heddle services, endpoints, problems, stat and top show the same node in another terminal.
`;

/** `heddle demo`, which `npm start` calls: a mesh on this machine, with Services of its own. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('Try it: a mesh on this machine with Services of its own, until Ctrl-C')
    .option(
      '--folder <DIR>',
      'put the manifests here (empty or new), and leave them there (default: a temporary folder)',
    )
    .option('--nats-url <URL>', 'your NATS server (HEDDLE_NATS_USER and the like say who you are there)')
    .option('--no-traffic', 'send no requests, so that only yours are seen')
    .addHelpText('after', EXAMPLES)
    .action(demo);
}

interface DemoOptions {
  readonly folder?: string;
  readonly natsUrl?: string;
  readonly traffic: boolean;
}

const LOOPBACK = '127.0.0.1';
const MESH_PORT = 4140;

/** Below environment and settings file: the try-out stays on this machine, and ends at once. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  ['mesh-listen', `127.0.0.1:${MESH_PORT}`],
  ['bridge-listen', '127.0.0.1:4280'],
  ['admin-listen', '127.0.0.1:4192'],
  ['probe-listen', 'off'],
  ['workers', '1'],
  ['drain-accept', '0s'],
  ['drain-timeout', '1s'],
]);
/** Services are those of the folder alone; standard output is the table's, and the log is read here. */
const FORCED: ReadonlyMap<string, readonly string[]> = new Map([
  ['discovery', ['files']],
  ['access-log', ['off']],
  ['log-format', ['json']],
]);
/** How long the first messages are waited for. */
const FLOW_MS = 3000;
const FLOW_LOOK_MS = 50;
/** Levels of the log. */
const WARNING = 40;
const ERROR = 50;

async function demo({ folder, natsUrl, traffic }: DemoOptions): Promise<void> {
  const ended = endOfVisit();
  const others = await startOthers();
  try {
    const manifests = writeManifests(folder, others.ports);
    const removeManifests = (): void => {
      if (folder === undefined) rmSync(manifests, { recursive: true, force: true });
    };
    // However it ends.
    process.on('exit', removeManifests);
    await runMesh(others, { folder: manifests, natsUrl, traffic, ended });
    removeManifests();
  } finally {
    await others.stop();
  }
}

interface Visit {
  readonly folder: string;
  readonly natsUrl: string | undefined;
  readonly traffic: boolean;
  /** Aborted when the visitor goes. */
  readonly ended: AbortSignal;
}

async function runMesh(others: Others, visit: Visit): Promise<void> {
  const { folder, natsUrl, ended } = visit;
  const { stdout } = process;
  const startMs = performance.now();
  const notes: string[] = [];
  let nats: DemoNats | undefined;
  let watch: Watch | undefined;
  ended.addEventListener('abort', () => watch?.end());
  await startNode('demo', {
    flags: new Map([
      ...FORCED,
      ['manifests', [folder]],
      ...(natsUrl === undefined ? [] : [['nats-url', [natsUrl]] as const]),
    ]),
    env: process.env,
    defaults: DEFAULTS,
    onSettings: async (settings) => {
      nats = await startNats(settings.nats.urls, () => others.startBroker());
      const { urls, tokenKey = settings.nats.tokenKey } = nats;
      return withFreePorts({ ...settings, nats: { ...settings.nats, urls, tokenKey } }, notes);
    },
    node: {
      exclusive: true,
      onLog: (line) => tell(line, watch),
      onReady: (addresses) => {
        void welcome(addresses, { ...visit, notes, nats: nats!.about, others }).then((made) => (watch = made));
      },
    },
  });
  watch?.end();
  await nats?.stop();
  if (watch === undefined) return;
  // A terminal shows ^C at the beginning of the line.
  stdout.write(`${stdout.isTTY ? '\n' : ''}${farewellText(watch.totals, performance.now() - startMs)}`);
}

interface Welcome extends Visit {
  readonly notes: string[];
  /** Which NATS server it is. */
  readonly nats: string;
  readonly others: Others;
}

/** Says what there is, and begins to show what happens. @returns undefined: the node has nothing to ask for it */
async function welcome({ mesh, bridge, admin }: Addresses, about: Welcome): Promise<Watch | undefined> {
  const { notes, nats, folder, traffic, others, ended } = about;
  if (mesh === undefined) return undefined;
  if (admin === undefined) notes.push('The admin side is off (HEDDLE_ADMIN_LISTEN): there is no table.');
  const client = admin && new AdminClient(urlOf(admin));
  // So that the first line that a visitor copies works.
  if (bridge !== undefined && client !== undefined) await messagesFlow(client, ended);
  if (ended.aborted) return undefined;
  process.stdout.write(guideText({ mesh: urlOf(mesh), bridge: bridge && urlOf(bridge), nats, notes, folder, traffic }));
  if (traffic) others.startTraffic(mesh);
  if (client === undefined) return undefined;
  const watch = new Watch(lookAt(client), { folder, ports: others.ports }, process.stdout);
  others.onTold = (line) => {
    watch.print(line);
  };
  void watch.run();
  return watch;
}

/** Resolves when the bridge is connected and Services get messages, or after a while: then the table has the problem. */
async function messagesFlow(client: AdminClient, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + FLOW_MS;
  while (performance.now() < endMs && !signal.aborted) {
    const { deliveries } = await client.deliveries().catch(() => ({ deliveries: [] }));
    if (deliveries.some(({ state }) => state === 'delivering')) return;
    await sleep(FLOW_LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/** A line of the node's log: errors are for the visitor, and warnings (problems above all) where no table has them. */
function tell(line: string, watch: Watch | undefined): void {
  const { level, time: _, msg, ...about } = JSON.parse(line) as { level: number; time: number; msg: string };
  if (watch === undefined && level >= WARNING) process.stdout.write(`${harmless(msg)}\n`);
  else if (level >= ERROR) watch?.print(`${msg} ${JSON.stringify(about)}`);
}

function lookAt(client: AdminClient): () => Promise<Look> {
  return async () => {
    const [services, endpoints, problems, stats] = await Promise.all([
      client.services(),
      client.endpoints(),
      client.problems(),
      client.stats(),
    ]);
    return { services, endpoints, problems, stats };
  };
}

/** Ports that are free, on this machine alone where nothing else was asked for. */
async function withFreePorts(settings: Settings, notes: string[]): Promise<Settings> {
  const { meshListen, adminListen, probeListen, bridgeListen } = settings;
  if (meshListen === undefined)
    notes.push('The mesh entry cannot be off here (HEDDLE_MESH_LISTEN): it is where it would be by default.');
  const wanted = [
    { name: 'mesh', address: meshListen ?? { host: undefined, port: MESH_PORT } },
    { name: 'admin', address: adminListen },
    { name: 'probe', address: probeListen },
    { name: 'bridge', address: bridgeListen },
  ].flatMap(({ name, address }) =>
    address === undefined ? [] : [{ name, host: address.host ?? LOOPBACK, port: address.port }],
  );
  const free = new Map<string, ListenAddress>();
  for (const [index, address] of (await freeAddresses(wanted)).entries()) {
    const { name, port } = wanted[index]!;
    free.set(name, address);
    if (address.port !== port) notes.push(`Port ${port} is taken: the ${name} side is on ${address.port}.`);
  }
  return {
    ...settings,
    meshListen: free.get('mesh'),
    adminListen: free.get('admin'),
    probeListen: free.get('probe'),
    bridgeListen: free.get('bridge'),
  };
}

/** Aborted at the first signal to end; such a signal ends the process where nobody else listens for it. */
function endOfVisit(): AbortSignal {
  const ended = new AbortController();
  const end = (signal: NodeJS.Signals): void => {
    ended.abort();
    // To the node a hang-up means to read again; here the terminal is gone.
    if (signal === 'SIGHUP') process.kill(process.pid, 'SIGTERM');
    // Before the node listens, and after.
    else if (process.listenerCount(signal) === 1) process.exit();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  process.stdout.on('error', () => {
    end('SIGHUP');
  });
  return ended.signal;
}

/** As clients on this machine write it. */
function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  if (host === '::' || host === '0.0.0.0') return `http://${LOOPBACK}:${port}`;
  return host.includes(':') ? `http://[${host}]:${port}` : `http://${host}:${port}`;
}
