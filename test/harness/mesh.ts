import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { eventually, sleep } from './client.ts';
import { type Deed, DELAY, type Delay, HOLDINGS, type Holdings, NO_TRANSFER, type ThreadName } from './saboteur.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** The tests run against the sources, or against the built output. */
const CLI = join(ROOT, process.env['HEDDLE_DIST'] === '1' ? 'dist/cli.js' : 'src/cli.ts');
const SABOTEUR = pathToFileURL(join(import.meta.dirname, 'saboteur.ts')).href;
const BASE_FLAGS = [
  '--probe-listen=127.0.0.1:0',
  '--admin-listen=off',
  '--bridge-listen=off',
  '--log-format=json',
  '--drain-accept=0s',
  '--drain-timeout=3s',
];
const START_MS = 15_000;
const STOP_MS = 8000;

/** A Service as a test needs it; everything else has the ordinary value. */
export interface ServiceSpec {
  readonly name: string;
  readonly namespace?: string;
  /** `127.0.0.1:9001`; none means that the annotation is absent. */
  readonly endpoints?: readonly string[];
  /** Numbers only: unnamed when there is one. */
  readonly ports?: readonly number[];
  readonly clusterIp?: string;
  readonly enabled?: boolean;
  /** More of them. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface MeshOptions {
  readonly services: readonly ServiceSpec[];
  /** Manifests beside those of the Services. */
  readonly objects?: readonly object[];
  /** Flags that say where Services come from; default: a folder of manifests with `services`. */
  readonly discovery?: readonly string[];
  readonly flags?: readonly string[];
  readonly workers?: number;
  /** Default: the system chooses. */
  readonly meshPort?: number;
  /** How many file descriptors the process may have; default: as many as this one. */
  readonly descriptors?: number;
  /** Its workers obey `sabotage`, and a lost worker is no defect. `no-transfer`: besides, it cannot hand connections over. */
  readonly saboteur?: boolean | typeof NO_TRANSFER;
  /** What `start` waits for. `probes`: it answers them, and may be unready. */
  readonly until?: 'ready' | 'probes';
}

export type LogLine = Readonly<Record<string, unknown>>;

/** A connection as the kernel sees it. */
export interface KernelSocket {
  readonly localPort: number;
  readonly remotePort: number;
  readonly state: 'established' | 'listen' | 'close-wait' | 'other';
}

/** `heddle run` as a child process, serving Services from a folder of manifests. */
export class Mesh {
  readonly #child: ChildProcess;
  readonly #folder: string;
  /** Where its saboteur gets orders. */
  readonly #sabotage: string | undefined;
  /** JSON lines of standard output. */
  readonly log: LogLine[] = [];
  /** Standard error, and lines of standard output that are no JSON. */
  stray = '';
  exitCode: number | null | undefined;
  #partial = '';
  /** A test that dies takes its mesh with it. */
  readonly #onExit = (): void => {
    this.#child.kill('SIGKILL');
    this.#tidy();
  };

  private constructor(child: ChildProcess, folder: string, sabotage: string | undefined) {
    this.#child = child;
    this.#sabotage = sabotage;
    process.on('exit', this.#onExit);
    this.#folder = folder;
    child.stdout?.on('data', (bytes: Buffer) => this.#read(bytes.toString('utf8')));
    child.stderr?.on('data', (bytes: Buffer) => (this.stray += bytes.toString('utf8')));
    child.on('exit', (code, signal) => {
      this.exitCode = signal === null ? code : null;
      process.removeListener('exit', this.#onExit);
      this.#tidy();
    });
  }

  static async start({
    services,
    objects = [],
    discovery,
    flags = [],
    workers = 2,
    meshPort = 0,
    descriptors,
    saboteur = false,
    until = 'ready',
  }: MeshOptions): Promise<Mesh> {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
    writeManifests(folder, services, objects);
    const sabotage = saboteur === false ? undefined : mkdtempSync(join(tmpdir(), 'heddle-sabotage-'));
    if (saboteur === NO_TRANSFER) writeFileSync(join(sabotage!, NO_TRANSFER), '');
    const preload = sabotage === undefined ? [] : ['--import', SABOTEUR];
    const command = [process.execPath, ...preload, CLI, 'run', ...BASE_FLAGS];
    command.push(
      ...(discovery ?? ['--discovery=files', '--manifests', folder]),
      '--workers',
      String(workers),
      '--mesh-listen',
      `127.0.0.1:${meshPort}`,
      ...flags,
    );
    // `exec` keeps the process id, so that signals reach the mesh and not the shell.
    const limit = descriptors === undefined ? [] : ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh'];
    const [file = '', ...parameters] = [...limit, ...command];
    const env = { ...process.env, ...(sabotage === undefined ? {} : { SABOTAGE: sabotage }) };
    const child = spawn(file, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const mesh = new Mesh(child, folder, sabotage);
    try {
      await (until === 'ready' ? mesh.#ready() : mesh.#listens(() => mesh.probePort > 0));
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return mesh;
  }

  /** Port of the mesh entry. */
  get port(): number {
    return this.#listener('mesh') ?? 0;
  }

  get probePort(): number {
    return this.#listener('probe') ?? 0;
  }

  /** Port of the bridge; 0: it was started without `--bridge-listen`. */
  get bridgePort(): number {
    return this.#listener('bridge') ?? 0;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.exitCode === undefined;
  }

  /** Log lines that tell of a defect: an exception that nobody expected. */
  get defects(): readonly LogLine[] {
    return this.log.filter(
      (line) =>
        (/defect|uncaught|unhandled|worker lost/i.test(JSON.stringify(line)) || isFatal(line['level'])) &&
        !(this.#sabotage !== undefined && line['msg'] === 'Worker lost'),
    );
  }

  /** Log lines that tell of a worker that ended by itself, in order; `time` is wall-clock milliseconds. */
  get losses(): readonly LogLine[] {
    return this.log.filter(({ msg }) => msg === 'Worker lost');
  }

  /** Other manifests in place of those that are there. */
  rewrite({ services, objects = [] }: Pick<MeshOptions, 'services' | 'objects'>): void {
    writeManifests(this.#folder, services, objects);
  }

  /** Makes a thread harm itself. Resolves when it begins. */
  async sabotage(thread: ThreadName, deed: Deed): Promise<void> {
    await this.#order(thread, deed);
  }

  /** What a worker of a mesh with a saboteur holds, after a garbage collection. */
  async holdings(worker: number): Promise<Holdings> {
    return (await this.#askThread(worker, HOLDINGS)) as Holdings;
  }

  /** The longest delay of the event loop of a thread since this was last asked; the first time it is 0. Needs a saboteur. */
  async delay(thread: ThreadName): Promise<Delay> {
    return (await this.#askThread(thread, DELAY)) as Delay;
  }

  async #askThread(thread: ThreadName, what: typeof HOLDINGS | typeof DELAY): Promise<unknown> {
    const file = `${await this.#order(thread, what)}.${what}`;
    await eventually(() => existsSync(file), { what: `thread ${thread} to tell its ${what}`, waitMs: START_MS });
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    return JSON.parse(text);
  }

  /** @returns the file in which the order was. */
  async #order(thread: ThreadName, order: string): Promise<string> {
    if (this.#sabotage === undefined) throw new Error('Expected a mesh with a saboteur, got one without');
    const file = join(this.#sabotage, String(thread));
    // Renamed, so that it is read whole.
    writeFileSync(`${file}.order`, order);
    renameSync(`${file}.order`, file);
    await eventually(() => !existsSync(file), { what: `thread ${thread} to obey: ${order}`, waitMs: START_MS });
    return file;
  }

  /** Processor time used so far by all threads, in milliseconds (Linux only). */
  get processorMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    // utime and stime in ticks of 10 ms (proc(5)).
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Resident memory in bytes, of all threads (Linux only). */
  get memory(): number {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1024;
  }

  /** The TCP sockets that the process holds now, without its listeners (Linux only). */
  get sockets(): readonly KernelSocket[] {
    const inodes = new Set<string>();
    for (const fd of readdirSync(`/proc/${this.pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${this.pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
    return ['tcp', 'tcp6'].flatMap((table) =>
      kernelSockets(readFileSync(`/proc/${this.pid}/net/${table}`, 'utf8'), inodes),
    );
  }

  /** Waits until the process holds no connection to a client. */
  async withoutClients(waitMs = 3000): Promise<void> {
    const left = (): readonly KernelSocket[] => this.sockets.filter(({ localPort }) => localPort === this.port);
    await eventually(() => left().length === 0, { what: 'no client connection to be left', waitMs }).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}, got ${JSON.stringify(left().slice(0, 5))}`);
      },
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for the end of the process. */
  async exited(waitMs = STOP_MS): Promise<number | null> {
    await eventually(() => this.exitCode !== undefined, { what: 'the process to end', waitMs });
    return this.exitCode ?? null;
  }

  /** Stops it politely and insists on a clean end: exit code 0, no defect logged, nothing on standard error. */
  async stop(): Promise<void> {
    const wasAlive = this.alive;
    if (wasAlive) this.signal('SIGTERM');
    try {
      const code = await this.exited();
      if (!wasAlive || code !== 0)
        throw new Error(`Expected the mesh to run until stopped and end with 0, got ${code}: ${this.stray}`);
      if (this.defects.length > 0)
        throw new Error(`Expected no defect, got ${JSON.stringify(this.defects.slice(0, 3))}`);
      if (this.stray !== '') throw new Error(`Expected nothing but JSON lines, got ${this.stray.slice(0, 2000)}`);
    } finally {
      if (this.alive) this.signal('SIGKILL');
    }
  }

  #tidy(): void {
    for (const folder of [this.#folder, this.#sabotage])
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    await this.#listens(() => this.port > 0 && this.probePort > 0);
    const giveUpMs = performance.now() + START_MS;
    while (!(await this.probe('/readyz'))) {
      if (performance.now() > giveUpMs) throw new Error('Expected /readyz to answer 200');
      await sleep(20);
    }
  }

  async #listens(done: () => boolean): Promise<void> {
    await eventually(() => !this.alive || done(), { waitMs: START_MS, what: 'the mesh to listen' }).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(this.log)} ${this.stray}`);
      },
    );
    if (!this.alive)
      throw new Error(
        `Expected the mesh to start, got exit ${this.exitCode}: ${this.stray} ${JSON.stringify(this.log)}`,
      );
  }

  /** Whether a probe answers 200. */
  async probe(path: string): Promise<boolean> {
    const reply = await fetch(`http://127.0.0.1:${this.probePort}${path}`).catch(() => undefined);
    await reply?.arrayBuffer();
    return reply?.status === 200;
  }

  #listener(name: string): number | undefined {
    const line = this.log.find(({ msg, listener }) => msg === 'Listening' && listener === name);
    return typeof line?.['port'] === 'number' ? line['port'] : undefined;
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) {
      try {
        this.log.push(JSON.parse(line) as LogLine);
      } catch {
        this.stray += `${line}\n`;
      }
    }
  }
}

/** Several documents in one file, each of them JSON, which is YAML too; written aside, so that nobody reads half of it. */
function writeManifests(folder: string, services: readonly ServiceSpec[], objects: readonly object[]): void {
  const documents = [...services.map(serviceManifest), ...objects].map((object) => JSON.stringify(object));
  writeFileSync(join(folder, '.services'), documents.join('\n---\n'));
  renameSync(join(folder, '.services'), join(folder, 'services.yaml'));
}

/** The Service as an object of the API. */
export function serviceManifest({
  name,
  namespace = 'test',
  endpoints,
  ports = [80],
  clusterIp,
  enabled = true,
  annotations = {},
}: ServiceSpec): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace,
      annotations: {
        'heddle.dev/enabled': String(enabled),
        ...(endpoints === undefined ? {} : { 'heddle.dev/endpoints': endpoints.join(',') }),
        ...annotations,
      },
    },
    spec: {
      ...(clusterIp === undefined ? {} : { clusterIP: clusterIp }),
      ports: ports.map((port) => (ports.length === 1 ? { port } : { name: `port-${port}`, port })),
    },
  };
}

function isFatal(level: unknown): boolean {
  return level === 'fatal' || level === 60;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

const STATES: Readonly<Record<string, KernelSocket['state']>> = {
  '01': 'established',
  '08': 'close-wait',
  '0A': 'listen',
};

/** Reads a table of /proc/net: address:port in hex, state in hex, inode in the tenth column. */
function kernelSockets(table: string, inodes: ReadonlySet<string>): KernelSocket[] {
  const sockets: KernelSocket[] = [];
  for (const row of table.split('\n').slice(1)) {
    const columns = row.trim().split(/\s+/);
    const [, local = '', remote = '', code = ''] = columns;
    if (!inodes.has(columns[9] ?? '')) continue;
    const state = STATES[code] ?? 'other';
    if (state !== 'listen') sockets.push({ localPort: portOf(local), remotePort: portOf(remote), state });
  }
  return sockets;
}

function portOf(address: string): number {
  return Number.parseInt(address.slice(address.indexOf(':') + 1), 16);
}
