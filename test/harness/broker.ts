import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  globSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';
import { natsBinary, type NatsVersion, provideNats } from '../servers/nats.ts';
import { eventually } from './client.ts';

/** Environment variable with a folder for the logs of brokers, which else go with them. Not HEDDLE_: that would be a setting of a node. */
export const LOGS_VARIABLE = 'BROKER_LOGS';

const START_MS = 30_000;
const OBEY_MS = 15_000;
const LOG_SHOWN_CHARACTERS = 2000;
/** After the names of client and account. What hostile clients decide (names, payloads) is quoted, so that it cannot look like this. */
const OPERATION = /^\[\d+\] \[TRC\] \S+ - (cid:\d+) - (?:"(?:[^"\\]|\\.)*" - )*<<- \[(.*)\]$/;

export interface BrokerOptions {
  /** Default: `current`. */
  readonly version?: NatsVersion;
  /** With JetStream, on disk in a temporary folder. Default: without. */
  readonly jetstream?: boolean;
  /** More text of nats.conf: accounts, users, tls, limits. What it names wins over what the harness writes. */
  readonly config?: string;
  /** Its log has every operation and payload, for `operations`. Costs much under load. */
  readonly trace?: boolean;
}

/** What a client sent, as the server understood it, also where it then refused it. */
export interface Operation {
  /** `cid:5`, one for each connection since the start of the server. */
  readonly client: string;
  /** As `PUB orders 5` or `SUB orders.* 1`. */
  readonly line: string;
}

/** What the server does on a signal: enters lame duck mode, or reads its configuration (and the files that it names) anew. */
export type BrokerSignal = 'ldm' | 'reload';

const SIGNALS = {
  ldm: { signal: 'SIGUSR2', obeyed: /Entering lame duck mode/ },
  reload: { signal: 'SIGHUP', obeyed: /Reloaded server configuration/ },
} as const;

/** A real nats-server on a loopback port of the system's choice, which keeps port and store when it is started again. */
export class Broker {
  readonly #binary: string;
  readonly #options: BrokerOptions;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'heddle-broker-'));
  readonly #log = path.join(this.#folder, 'log');
  readonly #configuration = path.join(this.#folder, 'nats.conf');
  readonly #connections: NatsConnection[] = [];
  /** A test that dies takes all of it along. */
  readonly #onExit = (): void => this.#abandon();
  #config: string;
  #child: ChildProcess | undefined;
  /** -1: the system chooses, at the first start. */
  #port = -1;

  private constructor(binary: string, options: BrokerOptions) {
    this.#binary = binary;
    this.#options = options;
    this.#config = options.config ?? '';
    writeFileSync(this.#log, '');
    process.on('exit', this.#onExit);
  }

  /** Resolves when it takes connections. An error has the end of its log, or says why there is no nats-server here. */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const provided = await provideNats(options.version ?? 'current');
    if ('missing' in provided) throw new Error(`Expected nats-server, got none: ${provided.missing}`);
    const broker = new Broker(natsBinary(provided.folder), options);
    try {
      await broker.#launch();
      return broker;
    } catch (error) {
      await broker.stop();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** As `--nats-url` takes it. */
  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** Of the running server. */
  get pid(): number {
    const pid = this.running ? this.#child?.pid : undefined;
    if (pid === undefined) throw new Error('Expected a running server, got none');
    return pid;
  }

  /** It runs, frozen or not. */
  get running(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  /** All that it has logged since the first start. */
  log(): string {
    return this.#logFrom(0);
  }

  /** All that clients have sent since the first start, in the order of arrival; only with `trace`. */
  operations(): readonly Operation[] {
    return this.log()
      .split('\n')
      .flatMap((logged) => {
        const [, client, line] = OPERATION.exec(logged) ?? [];
        return client === undefined || line === undefined ? [] : [{ client, line }];
      });
  }

  /** A connection of the official client that comes back for ever, closed by `stop`. The rest is the library's. */
  async connect(options: NodeConnectionOptions = {}): Promise<NatsConnection> {
    const again = { maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 };
    const connection = await connect({ servers: this.url, ...again, ...options });
    this.#connections.push(connection);
    return connection;
  }

  /** `kill -9`. Resolves when it is dead. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGSTOP: it holds its connections, reads nothing and says nothing. Resolves when all of its threads stand still. */
  async freeze(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGSTOP');
    await eventually(() => standsStill(pid), { what: 'the broker to freeze' });
  }

  /** SIGCONT. */
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Starts it with the same port and store; one that still runs is ended before, as an operator would. */
  async restart(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#launch();
  }

  /** Resolves when it has obeyed. Refuses with its words where it did not take the configuration. */
  async signal(name: BrokerSignal): Promise<void> {
    const { signal, obeyed } = SIGNALS[name];
    const from = statSync(this.#log).size;
    this.#child?.kill(signal);
    const refusal = (): string | undefined => /Failed to reload server configuration.*/.exec(this.#logFrom(from))?.[0];
    await eventually(() => obeyed.test(this.#logFrom(from)) || refusal() !== undefined || !this.running, {
      what: `the broker to obey ${name}`,
      waitMs: OBEY_MS,
    });
    if (!obeyed.test(this.#logFrom(from)))
      throw new Error(`Expected it to obey ${name}, got ${refusal() ?? 'its end'}`);
  }

  /** Another text in place of the option `config`, which a running server takes at once, and a dead one when it is started. */
  async reconfigure(config: string): Promise<void> {
    this.#config = config;
    this.#writeConfiguration();
    if (this.running) await this.signal('reload');
  }

  /** Ends it, and deletes its store. */
  async stop(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await this.#end('SIGKILL');
    const keep = process.env[LOGS_VARIABLE];
    if (keep) copyFileSync(this.#log, path.join(keep, `${path.basename(this.#folder)}.log`));
    process.off('exit', this.#onExit);
    this.#abandon();
  }

  /** The port that it had may be taken for a moment, as the near end of somebody's connection: then it tries again. */
  async #launch(): Promise<void> {
    const giveUpMs = performance.now() + START_MS;
    for (;;) {
      this.#writeConfiguration();
      const from = statSync(this.#log).size;
      const child = await this.#spawn();
      const ports = path.join(this.#folder, `nats-server_${child.pid}.ports`);
      await eventually(() => hasEnded(child) || portIn(ports) !== undefined, {
        what: 'the broker to listen',
        waitMs: START_MS,
      });
      const port = portIn(ports);
      if (port !== undefined) {
        this.#port = port;
        return;
      }
      const said = this.#logFrom(from);
      if (!said.includes('address already in use') || performance.now() > giveUpMs) {
        throw new Error(`Expected the broker to listen, got ${said.slice(-LOG_SHOWN_CHARACTERS)}`);
      }
    }
  }

  #writeConfiguration(): void {
    const lines = [
      `listen: "127.0.0.1:${this.#port}"`,
      `ports_file_dir: ${JSON.stringify(this.#folder)}`,
      'logtime: false',
      // The shortest that it allows.
      'lame_duck_duration: "30s"',
      'lame_duck_grace_period: "1s"',
      ...(this.#options.jetstream
        ? [`jetstream { store_dir: ${JSON.stringify(path.join(this.#folder, 'store'))} }`]
        : []),
      ...(this.#options.trace ? ['trace: true'] : []),
      this.#config,
    ];
    writeFileSync(this.#configuration, `${lines.join('\n')}\n`);
  }

  async #spawn(): Promise<ChildProcess> {
    const command = [this.#binary, '-c', this.#configuration] as const;
    // On Linux the kernel ends it with this process, however that ends; setpriv becomes the server, and keeps the pid.
    const [program, ...args] = process.platform === 'linux' ? ['setpriv', '--pdeathsig=KILL', ...command] : command;
    const log = openSync(this.#log, 'a');
    try {
      const child = spawn(program, args, { stdio: ['ignore', log, log] });
      this.#child = child;
      // An error says which program cannot be started.
      await once(child, 'spawn');
      return child;
    } finally {
      closeSync(log);
    }
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill(signal);
    // A frozen one would never hear of SIGTERM.
    child.kill('SIGCONT');
    await eventually(() => hasEnded(child), { what: 'the broker to end', waitMs: OBEY_MS });
    this.#child = undefined;
  }

  #abandon(): void {
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #logFrom(byte: number): string {
    return readFileSync(this.#log).toString('utf8', byte);
  }
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

/** The server writes the file when it listens, and not in one go. */
function portIn(file: string): number | undefined {
  try {
    const { nats } = JSON.parse(readFileSync(file, 'utf8')) as { readonly nats: readonly string[] };
    return Number(new URL(nats[0] ?? '').port);
  } catch {
    return undefined;
  }
}

/** Of every thread, as proc(5) tells; systems other than Linux do not. */
function standsStill(pid: number): boolean {
  try {
    return globSync(`/proc/${pid}/task/*/stat`).every((file) => {
      const stat = readFileSync(file, 'latin1');
      // After the name, which is in brackets and may have any in itself.
      return stat.startsWith('T', stat.lastIndexOf(')') + 2);
    });
  } catch {
    // A thread has ended meanwhile.
    return false;
  }
}
