import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { Cluster, KubeConfig, User } from '@kubernetes/client-node';
import { shown } from '../../../lib/shown.ts';
import { type Access, AccessError, type Credentials } from './access.ts';

/** Tokens, certificates and what plugins answer are asked for anew so often; the library keeps what has an end of its own. */
const REREAD_MS = 60_000;
/** A plugin that waits for a person would wait for ever. */
const PLUGIN_MS = 30_000;

/** The files that kubectl reads when it is given none: those of the variable KUBECONFIG that exist, else the one of the user. */
export function usualKubeconfigs(): readonly string[] {
  const files = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (files.length === 0) return [join(homedir(), '.kube', 'config')];
  const existing = files.filter((file) => existsSync(file));
  return existing.length > 0 ? existing : files;
}

/** Rejects with an AccessError that names the file and what is wrong with it. */
export async function openKubeconfig(files: readonly string[], context: string | undefined): Promise<Access> {
  const found = await load(files, context);
  return new Kubeconfig(files, context, found);
}

interface Found {
  readonly config: KubeConfig;
  readonly cluster: Cluster;
  readonly server: URL;
}

class Kubeconfig implements Access {
  readonly server: URL;
  readonly #files: readonly string[];
  readonly #context: string | undefined;
  #found: Found | undefined;
  #credentials: Credentials | undefined = undefined;
  #asking: Promise<Credentials> | undefined = undefined;
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(files: readonly string[], context: string | undefined, found: Found) {
    this.server = found.server;
    this.#files = files;
    this.#context = context;
    this.#found = found;
  }

  async credentials(): Promise<Credentials> {
    if (this.#credentials !== undefined && performance.now() - this.#readMs < REREAD_MS) return this.#credentials;
    // Many may need them at the same time; a plugin is asked once.
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  refused(credentials: Credentials): void {
    if (this.#credentials !== credentials) return;
    // All of it anew: only a new KubeConfig forgets a token that a plugin gave.
    this.#credentials = undefined;
    this.#found = undefined;
  }

  async #ask(): Promise<Credentials> {
    this.#found ??= await load(this.#files, this.#context);
    this.#credentials = await this.#credentialsOf(this.#found);
    this.#readMs = performance.now();
    return this.#credentials;
  }

  async #credentialsOf({ config }: Found): Promise<Credentials> {
    const options: RequestOptions = {};
    try {
      await within(PLUGIN_MS, config.applyToHTTPSOptions(options));
    } catch (error) {
      const user = `users[${config.getCurrentUser()?.name ?? ''}]`;
      throw new AccessError(this.#files.join(delimiter), {
        field: user,
        expected: 'credentials',
        got: reasonOf(error),
      });
    }
    const { ca, cert, key, servername, rejectUnauthorized, headers, auth } = options;
    const tls: ConnectionOptions = {};
    if (ca !== undefined) tls.ca = ca;
    if (cert !== undefined) tls.cert = cert;
    if (key !== undefined) tls.key = key;
    if (servername !== undefined) tls.servername = servername;
    if (rejectUnauthorized !== undefined) tls.rejectUnauthorized = rejectUnauthorized;
    const named = Object.entries((headers ?? {}) as OutgoingHttpHeaders).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      String(value).trim(),
    ]);
    if (typeof auth === 'string') named.push(['authorization', `Basic ${Buffer.from(auth).toString('base64')}`]);
    return { tls, headers: Object.fromEntries(named) };
  }
}

async function load(files: readonly string[], context: string | undefined): Promise<Found> {
  // Loaded late: the library takes about a second and 84 MB, and a pod needs none of it.
  const library = await import('@kubernetes/client-node');
  let config: KubeConfig | undefined;
  for (const file of files) {
    const one = new library.KubeConfig();
    try {
      const text = await readFile(file, 'utf8');
      one.loadFromString(text);
      one.makePathsAbsolute(dirname(resolve(file)));
      await addTokenFiles(one, text, dirname(resolve(file)));
      if (config === undefined) config = one;
      else config.mergeConfig(one, true);
    } catch (error) {
      throw new AccessError(file, { field: '', expected: 'a kubeconfig', got: reasonOf(error) });
    }
  }
  return choose(config ?? new library.KubeConfig(), files.join(delimiter), context);
}

function choose(config: KubeConfig, file: string, context: string | undefined): Found {
  if (context !== undefined) config.setCurrentContext(context);
  const name = config.getCurrentContext();
  const contexts = config.getContexts().map((one) => one.name);
  if (!contexts.includes(name)) {
    const expected = `one of the contexts ${contexts.map(shown).join(', ') || '(there are none)'}`;
    throw new AccessError(file, {
      field: context === undefined ? 'current-context' : 'contexts',
      expected,
      got: shown(name),
    });
  }
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  const field = `contexts[${name}]`;
  if (cluster === null)
    throw new AccessError(file, { field, expected: 'a cluster of the file', got: 'an unknown one' });
  if (user === null) throw new AccessError(file, { field, expected: 'a user of the file', got: 'an unknown one' });
  tellPlugin(user);
  return { config, cluster, server: serverOf(cluster, file) };
}

function serverOf(cluster: Cluster, file: string): URL {
  const field = `clusters[${cluster.name}].server`;
  const server = URL.canParse(cluster.server) ? new URL(cluster.server) : undefined;
  const loopback = server !== undefined && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(server.hostname);
  if (server?.protocol !== 'https:' && !(server?.protocol === 'http:' && loopback)) {
    const expected = 'an address that begins with https:// (http:// is for servers on loopback)';
    throw new AccessError(file, { field, expected, got: shown(cluster.server) });
  }
  if (cluster.proxyUrl !== undefined && cluster.proxyUrl !== null) {
    const expected = 'an API server that is reached without a proxy';
    throw new AccessError(file, {
      field: `clusters[${cluster.name}].proxy-url`,
      expected,
      got: shown(cluster.proxyUrl),
    });
  }
  // The library refuses plain HTTP without this, which says nothing about loopback.
  if (server.protocol === 'http:') Object.assign(cluster, { skipTLSVerify: true });
  return server;
}

/** The library does not know `tokenFile` of a user (kubeconfig v1, AuthInfo): it is given the form that it knows. */
async function addTokenFiles(config: KubeConfig, text: string, directory: string): Promise<void> {
  if (!text.includes('tokenFile')) return;
  const { parse } = await import('yaml');
  const { users } = parse(text) as { users: readonly { name: string; user?: { tokenFile?: string } | null }[] };
  for (const { name, user } of users) {
    const known = config.getUser(name);
    if (typeof user?.tokenFile !== 'string' || known === null) continue;
    const tokenFile = resolve(directory, user.tokenFile);
    // A file is read again and so beats a token that stands there once and for all, as in client-go.
    Object.assign(known, { token: undefined, authProvider: { name: 'tokenFile', config: { tokenFile } } });
  }
}

/** A plugin learns from its environment that nobody is there to answer it (client.authentication.k8s.io, ExecCredential). */
function tellPlugin(user: User): void {
  const exec = user.exec as { apiVersion?: string; env?: { name: string; value: string }[] | null } | null | undefined;
  if (exec === null || exec === undefined) return;
  const { apiVersion = 'client.authentication.k8s.io/v1' } = exec;
  const value = JSON.stringify({ kind: 'ExecCredential', apiVersion, spec: { interactive: false } });
  exec.env = [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value }];
}

async function within<T>(waitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${waitMs / 1000} s`));
    }, waitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One line, and not all of a page that a plugin wrote. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'EACCES' ? code : shown(message.trim());
}
