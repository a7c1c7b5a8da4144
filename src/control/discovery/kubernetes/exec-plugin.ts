import { type ChildProcess, spawn } from 'node:child_process';

/** How a kubeconfig names a plugin (kubeconfig v1, ExecConfig). */
export interface ExecConfig {
  readonly apiVersion?: string;
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
}

/** What a plugin gives; undefined: not this. */
export interface PluginCredentials {
  readonly token: string | undefined;
  /** PEM. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** One that waits for a person would wait for ever. */
const PLUGIN_MS = 30_000;
const ANSWER_LENGTH_MAX = 1024 * 1024;
const COMPLAINT_LENGTH_MAX = 4096;

/** A program that gives credentials (client.authentication.k8s.io). What it gave is good until the end that it named. */
export class ExecPlugin {
  readonly #config: ExecConfig;
  readonly #limitMs: number;
  /** Until it is gone and nothing holds its output any more. */
  #child: ChildProcess | undefined = undefined;
  #given: PluginCredentials | undefined = undefined;
  #endsMs = Number.POSITIVE_INFINITY;

  /** @param limitMs for an answer */
  constructor(config: ExecConfig, limitMs = PLUGIN_MS) {
    this.#config = config;
    this.#limitMs = limitMs;
  }

  /** One call at a time. Rejects with an error that quotes nothing of an answer: there may be secrets in it. */
  async credentials(): Promise<PluginCredentials> {
    if (this.#given !== undefined && Date.now() < this.#endsMs) return this.#given;
    const { status } = credentialOf(await this.#run());
    const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status;
    const ends = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN;
    this.#endsMs = Number.isNaN(ends) ? Number.POSITIVE_INFINITY : ends;
    this.#given = { token: text(token), cert: text(cert), key: text(key) };
    return this.#given;
  }

  /** Ends the plugin, if it runs, and all that it started. */
  close(): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }

  async #run(): Promise<string> {
    const { command, args, apiVersion = 'client.authentication.k8s.io/v1' } = this.#config;
    if (typeof command !== 'string' || command === '') throw new Error('a plugin without a command');
    // It learns from its environment that nobody is there to answer it.
    const info = JSON.stringify({ kind: 'ExecCredential', apiVersion, spec: { interactive: false } });
    const named = (this.#config.env ?? []).map(({ name, value }): [string, string] => [name, value]);
    const env = { ...process.env, ...Object.fromEntries(named), KUBERNETES_EXEC_INFO: info };
    // A group of its own, so that what it starts ends with it.
    const child = spawn(command, args ?? [], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#child = child;
    let answer = '';
    let complaint = '';
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        this.close();
        child.stdout.destroy();
        child.stderr.destroy();
        reject(new Error(reason));
      };
      const timer = setTimeout(fail, this.#limitMs, `no answer in ${this.#limitMs / 1000} s`);
      child.stdout.setEncoding('utf8').on('data', (piece: string) => {
        answer += piece;
        if (answer.length > ANSWER_LENGTH_MAX) fail('an answer that is too long');
      });
      child.stderr.setEncoding('utf8').on('data', (piece: string) => {
        complaint = (complaint + piece).slice(0, COMPLAINT_LENGTH_MAX);
      });
      child.once('error', ({ code, message }: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        fail(code ?? message);
      });
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        this.#child = undefined;
        if (code === 0) resolve(answer);
        else reject(new Error(complaint.trim() === '' ? `its end with ${code ?? signal}` : complaint));
      });
    });
  }
}

interface ExecCredential {
  readonly status: { readonly [field: string]: unknown };
}

function credentialOf(answer: string): ExecCredential {
  let credential: Partial<ExecCredential> | null;
  try {
    credential = JSON.parse(answer) as Partial<ExecCredential> | null;
  } catch {
    throw new Error('no JSON');
  }
  const { status } = credential ?? {};
  if (typeof status !== 'object' || status === null) throw new Error('an answer without a status');
  return { status };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
