import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Provided, provide } from './provide.ts';

const FETCH_MS = 120_000;
const START_MS = 30_000;
const STOP_MS = 5000;
const run = promisify(execFile);

/**
 * Prometheus and promtool: those on the PATH, else Debian's package, unpacked without installing it. No root is needed, and no
 * service starts; all that the programs need of others is libc.
 */
export async function providePrometheus(): Promise<Provided> {
  const installed = await run('sh', ['-c', 'command -v promtool >&2 && command -v prometheus']).catch(() => undefined);
  if (installed !== undefined) return { folder: path.dirname(installed.stdout.trim()) };
  return provide({ name: 'prometheus', key: 'the package of the system, 1', make: unpack });
}

async function unpack(folder: string): Promise<void> {
  const apt = async (...parameters: readonly string[]): Promise<void> => {
    await run('apt-get', ['-q', ...parameters], { cwd: folder, timeout: FETCH_MS });
  };
  await apt('download', 'prometheus').catch(async () => {
    // The lists of packages may be absent, and only root may bring those of the system up to date.
    mkdirSync(path.join(folder, 'lists/partial'), { recursive: true });
    mkdirSync(path.join(folder, 'cache/archives/partial'), { recursive: true });
    const own = [`Dir::State::Lists=${folder}/lists`, `Dir::Cache=${folder}/cache`].flatMap((option) => ['-o', option]);
    await apt(...own, 'update');
    await apt(...own, 'download', 'prometheus');
  });
  const packed = readdirSync(folder).find((file) => file.endsWith('.deb'));
  if (packed === undefined) throw new Error('Expected apt-get to download a package, got none');
  await run('dpkg-deb', ['-x', packed, 'unpacked'], { cwd: folder, timeout: FETCH_MS });
  for (const name of ['prometheus', 'promtool']) symlinkSync(`unpacked/usr/bin/${name}`, path.join(folder, name));
  for (const name of [packed, 'lists', 'cache']) rmSync(path.join(folder, name), { recursive: true, force: true });
}

/** What promtool has to say against an exposition in the text format; empty: nothing. */
export async function checkMetrics(folder: string, text: string): Promise<string> {
  const checking = run(path.join(folder, 'promtool'), ['check', 'metrics']);
  checking.child.stdin?.end(text);
  const { stdout, stderr } = await checking.catch((error: unknown) => error as { stdout: string; stderr: string });
  return stdout + stderr;
}

export interface PrometheusResult {
  readonly metric: Readonly<Record<string, string>>;
  /** Seconds since 1970, and a number as text. */
  readonly value: readonly [number, string];
}

/** A Prometheus that scrapes one target; it listens on a port of the system's choice and keeps its data in a temporary folder. */
export class Prometheus {
  readonly #child: ChildProcess;
  readonly #data: string;
  /** What it logs. */
  log = '';
  readonly #onExit = (): void => void this.#child.kill('SIGKILL');

  private constructor(child: ChildProcess, data: string) {
    this.#child = child;
    this.#data = data;
    process.on('exit', this.#onExit);
    child.stderr?.on('data', (bytes: Buffer) => (this.log += bytes.toString('utf8')));
  }

  /** @param folder of `providePrometheus`. @param target `127.0.0.1:9090` */
  static async start(folder: string, target: string): Promise<Prometheus> {
    const data = mkdtempSync(path.join(tmpdir(), 'heddle-prometheus-'));
    const configuration = {
      global: { scrape_interval: '500ms', scrape_timeout: '400ms' },
      scrape_configs: [{ job_name: 'heddle', static_configs: [{ targets: [target] }] }],
    };
    // JSON is YAML too.
    writeFileSync(path.join(data, 'prometheus.yaml'), JSON.stringify(configuration));
    const flags = {
      'config.file': path.join(data, 'prometheus.yaml'),
      'storage.tsdb.path': path.join(data, 'tsdb'),
      'web.listen-address': '127.0.0.1:0',
      'log.level': 'debug',
      'enable-feature': 'exemplar-storage',
    };
    const child = spawn(
      path.join(folder, 'prometheus'),
      Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const prometheus = new Prometheus(child, data);
    const giveUpMs = performance.now() + START_MS;
    while (prometheus.#port === undefined && child.exitCode === null && performance.now() < giveUpMs) await sleep(20);
    if (prometheus.#port !== undefined) return prometheus;
    await prometheus.stop();
    throw new Error(`Expected Prometheus to listen, got ${prometheus.log.slice(-2000)}`);
  }

  /** The answer to an instant query (PromQL). */
  async query(expression: string): Promise<readonly PrometheusResult[]> {
    const { result } = await this.#get<{ result: readonly PrometheusResult[] }>('query', { query: expression });
    return result;
  }

  /** The one value that answers a query; NaN where there is none. */
  async value(expression: string): Promise<number> {
    const [only, ...more] = await this.query(expression);
    if (more.length > 0) throw new Error(`Expected one value of ${expression}, got ${more.length + 1}`);
    return Number(only?.value[1] ?? Number.NaN);
  }

  /** What it says of its one target: empty where the last scrape went well. */
  async lastError(): Promise<string> {
    const { activeTargets } = await this.#get<{ activeTargets: readonly { readonly lastError: string }[] }>(
      'targets',
      {},
    );
    return activeTargets[0]?.lastError ?? 'no target';
  }

  /** Trace ids of the exemplars that it keeps for this series. */
  async exemplars(series: string): Promise<readonly string[]> {
    const now = Date.now() / 1000;
    const span = { query: series, start: String(now - 600), end: String(now + 600) };
    type Found = readonly { readonly exemplars: readonly { readonly labels: Readonly<Record<string, string>> }[] }[];
    const found = await this.#get<Found>('query_exemplars', span);
    return found.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels['trace_id'] ?? ''));
  }

  /** Ends it as an operator would. Returns its exit code. */
  async stop(): Promise<number | null> {
    process.removeListener('exit', this.#onExit);
    const child = this.#child;
    child.kill('SIGTERM');
    const giveUpMs = performance.now() + STOP_MS;
    while (child.exitCode === null && child.signalCode === null) {
      if (performance.now() > giveUpMs) child.kill('SIGKILL');
      await sleep(20);
    }
    rmSync(this.#data, { recursive: true, force: true });
    return child.exitCode;
  }

  get #port(): number | undefined {
    const port = /msg="Listening on" address=127\.0\.0\.1:(\d+)/.exec(this.log)?.[1];
    return port === undefined ? undefined : Number(port);
  }

  async #get<T>(what: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const query = new URLSearchParams(parameters).toString();
    const reply = await fetch(`http://127.0.0.1:${this.#port}/api/v1/${what}?${query}`);
    const answer = (await reply.json()) as { readonly status: string; readonly data: T; readonly error?: string };
    if (answer.status !== 'success') throw new Error(`Expected an answer to ${what}, got ${answer.error}`);
    return answer.data;
  }
}
