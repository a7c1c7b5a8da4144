import { rmSync } from 'node:fs';
import { Command } from 'commander';
import { harmless } from '../lib/shown.ts';
import type { ListenAddress, Settings } from '../model/settings.ts';
import { AdminClient } from './client.ts';
import { writeManifests } from './demo/folder.ts';
import { type Others, startOthers } from './demo/others.ts';
import type { Look } from './demo/picture.ts';
import { freeAddresses } from './demo/ports.ts';
import { farewellText, guideText } from './demo/texts.ts';
import { Watch } from './demo/watch.ts';
import { startNode } from './start.ts';

const EXAMPLES = `
Three small Services run on loopback ports, and a mesh in front of them on port 4140: two of them are in the mesh,
one has not opted in. Their manifests are copied to a folder where you edit them; the mesh obeys what you save.

Examples:
  heddle demo
  heddle demo --folder ./shop                  the manifests in ./shop, which stays there
  HEDDLE_MESH_LISTEN=127.0.0.1:8080 heddle demo
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
    .option('--no-traffic', 'send no requests, so that only yours are seen')
    .addHelpText('after', EXAMPLES)
    .action(demo);
}

interface DemoOptions {
  readonly folder?: string;
  readonly traffic: boolean;
}

const LOOPBACK = '127.0.0.1';
const MESH_PORT = 4140;

/** Below environment and settings file: the try-out stays on this machine, and ends at once. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  ['mesh-listen', `127.0.0.1:${MESH_PORT}`],
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
/** Levels of the log. */
const WARNING = 40;
const ERROR = 50;

async function demo({ folder, traffic }: DemoOptions): Promise<void> {
  const ended = endOfVisit();
  const others = await startOthers();
  try {
    const manifests = writeManifests(folder, others.ports);
    const removeManifests = (): void => {
      if (folder === undefined) rmSync(manifests, { recursive: true, force: true });
    };
    // However it ends.
    process.on('exit', removeManifests);
    await runMesh(others, { folder: manifests, traffic, ended });
    removeManifests();
  } finally {
    await others.stop();
  }
}

interface Visit {
  readonly folder: string;
  readonly traffic: boolean;
  /** Aborted when the visitor goes. */
  readonly ended: AbortSignal;
}

async function runMesh(others: Others, { folder, traffic, ended }: Visit): Promise<void> {
  const { stdout } = process;
  const startMs = performance.now();
  const notes: string[] = [];
  let watch: Watch | undefined;
  ended.addEventListener('abort', () => watch?.end());
  const flags = new Map([...FORCED, ['manifests', [folder]]] as const);
  await startNode('demo', {
    flags,
    env: process.env,
    defaults: DEFAULTS,
    onSettings: (settings) => withFreePorts(settings, notes),
    node: {
      exclusive: true,
      onLog: (line) => tell(line, watch),
      onReady: ({ mesh, admin }) => {
        if (mesh === undefined) return;
        if (admin === undefined) notes.push('The admin side is off (HEDDLE_ADMIN_LISTEN): there is no table.');
        stdout.write(guideText({ mesh: urlOf(mesh), notes, folder, traffic }));
        if (traffic) others.startTraffic(mesh);
        if (admin === undefined) return;
        watch = new Watch(lookAt(new AdminClient(urlOf(admin))), { folder, ports: others.ports }, stdout);
        void watch.run();
      },
    },
  });
  watch?.end();
  if (watch === undefined) return;
  // A terminal shows ^C at the beginning of the line.
  stdout.write(`${stdout.isTTY ? '\n' : ''}${farewellText(watch.totals, performance.now() - startMs)}`);
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
  const { meshListen, adminListen, probeListen } = settings;
  if (meshListen === undefined)
    notes.push('The mesh entry cannot be off here (HEDDLE_MESH_LISTEN): it is where it would be by default.');
  const wanted = [
    { name: 'mesh', address: meshListen ?? { host: undefined, port: MESH_PORT } },
    { name: 'admin', address: adminListen },
    { name: 'probe', address: probeListen },
  ].flatMap(({ name, address }) =>
    address === undefined ? [] : [{ name, host: address.host ?? LOOPBACK, port: address.port }],
  );
  const free = new Map<string, ListenAddress>();
  for (const [index, address] of (await freeAddresses(wanted)).entries()) {
    const { name, port } = wanted[index]!;
    free.set(name, address);
    if (address.port !== port) notes.push(`Port ${port} is taken: the ${name} side is on ${address.port}.`);
  }
  return { ...settings, meshListen: free.get('mesh'), adminListen: free.get('admin'), probeListen: free.get('probe') };
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
