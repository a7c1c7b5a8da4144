import { readFile } from 'node:fs/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { Cluster, KubeConfig } from '@kubernetes/client-node';
import { shown } from '../../../lib/shown.ts';
import { type Access, AccessError, type Credentials } from './access.ts';
import { type ExecConfig, ExecPlugin, type PluginCredentials } from './exec-plugin.ts';

/** Tokens and certificates are read anew so often; a plugin keeps what it gave until the end of that. */
const REREAD_MS = 60_000;

/** The files that kubectl reads when it is given none, there or not: those of the variable KUBECONFIG, else the one of the user. */
export function usualKubeconfigs(): readonly string[] {
  const files = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return files.length > 0 ? files : [join(homedir(), '.kube', 'config')];
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
  readonly plugin: ExecPlugin | undefined;
}

class Kubeconfig implements Access {
  readonly server: URL;
  readonly #files: readonly string[];
  readonly #context: string | undefined;
  #found: Found | undefined;
  /** The one that was asked last: it may still run. */
  #plugin: ExecPlugin | undefined = undefined;
  #credentials: Credentials | undefined = undefined;
  #asking: Promise<Credentials> | undefined = undefined;
  #readMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

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
    // All of it anew, what a plugin gave included.
    this.#credentials = undefined;
    this.#found = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#plugin?.close();
  }

  async #ask(): Promise<Credentials> {
    this.#found ??= await load(this.#files, this.#context);
    this.#plugin = this.#found.plugin;
    if (this.#isClosed) throw new Error('The connection was closed');
    this.#credentials = await this.#credentialsOf(this.#found);
    this.#readMs = performance.now();
    return this.#credentials;
  }

  async #credentialsOf({ config, plugin }: Found): Promise<Credentials> {
    const options: RequestOptions = {};
    let given: PluginCredentials | undefined;
    try {
      given = await plugin?.credentials();
      await config.applyToHTTPSOptions(options);
      if (given?.cert !== undefined) Object.assign(options, { cert: given.cert, key: given.key });
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
    // A token of the file itself beats the plugin, as in client-go.
    if (given?.token !== undefined) named.unshift(['authorization', `Bearer ${given.token}`]);
    if (typeof auth === 'string') named.push(['authorization', `Basic ${Buffer.from(auth).toString('base64')}`]);
    return { tls, headers: Object.fromEntries(named) };
  }
}

async function load(files: readonly string[], context: string | undefined): Promise<Found> {
  // Loaded late: the library takes about a second and 84 MB, and a pod needs none of it.
  const library = await import('@kubernetes/client-node');
  const merged = new library.KubeConfig();
  merged.loadFromOptions({ clusters: [], users: [], contexts: [], currentContext: '' });
  for (const file of files) {
    try {
      const text = await readFile(file, 'utf8');
      const one = new library.KubeConfig();
      // An empty file has no more and no less to say than an empty collection.
      one.loadFromString(isEmpty(text) ? '{}' : text);
      one.makePathsAbsolute(dirname(resolve(file)));
      await addTokenFiles(one, text, dirname(resolve(file)));
      merge(merged, one);
    } catch (error) {
      throw new AccessError(file, { field: '', expected: 'a kubeconfig', got: reasonOf(error) });
    }
  }
  return choose(merged, files.join(delimiter), context);
}

function isEmpty(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(?:#.*|---\s*)?$/.test(line));
}

/** As kubectl does it: of what has the same name the first one wins. */
function merge(all: KubeConfig, one: KubeConfig): void {
  all.loadFromOptions({
    clusters: added(all.getClusters(), one.getClusters()),
    users: added(all.getUsers(), one.getUsers()),
    contexts: added(all.getContexts(), one.getContexts()),
    currentContext: all.getCurrentContext() || one.getCurrentContext(),
  });
}

function added<T extends { readonly name: string }>(known: readonly T[], more: readonly T[]): readonly T[] {
  return [...known, ...more.filter(({ name }) => !known.some((other) => other.name === name))];
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
  const exec = user.exec as ExecConfig | null | undefined;
  // The library would leave a plugin that hangs alone for ever, and quote its answer.
  Object.assign(user, { exec: undefined });
  const plugin = exec === null || exec === undefined ? undefined : new ExecPlugin(exec);
  return { config, cluster, server: serverOf(cluster, file), plugin };
}

function serverOf(cluster: Cluster, file: string): URL {
  const field = `clusters[${cluster.name}].server`;
  const server = URL.canParse(cluster.server) ? new URL(cluster.server) : undefined;
  const loopback = server !== undefined && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(server.hostname);
  if (server?.protocol !== 'https:' && !(server?.protocol === 'http:' && loopback)) {
    const expected = 'an address that begins with https:// (http:// is for servers on loopback)';
    throw new AccessError(file, { field, expected, got: addressShown(cluster.server) });
  }
  if (cluster.proxyUrl !== undefined && cluster.proxyUrl !== null) {
    const expected = 'an API server that is reached without a proxy';
    throw new AccessError(file, {
      field: `clusters[${cluster.name}].proxy-url`,
      expected,
      got: addressShown(cluster.proxyUrl),
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

/** Of an address only where it leads: there may be a password in it. */
function addressShown(address: string): string {
  if (!URL.canParse(address)) return 'no address';
  const { protocol, host } = new URL(address);
  return shown(`${protocol}//${host}`);
}

/** One line, and not all of a page that a plugin wrote; never a piece of the file, as errors of YAML show it. */
function reasonOf(error: unknown): string {
  const { code, name, message, mark } = error as NodeJS.ErrnoException & { readonly mark?: { readonly line: number } };
  if (code === 'ENOENT' || code === 'EACCES') return code;
  if (name === 'YAMLException') return `no YAML in line ${(mark?.line ?? 0) + 1}`;
  return shown(message.trim());
}
