import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { type Certificate, selfSigned } from './api-server/certificate.ts';
import { Collection, type NewObject, type StoredObject } from './api-server/collection.ts';
import { Relay } from './api-server/relay.ts';

export type { NewObject } from './api-server/collection.ts';

/** What a client asked. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly type: 'list' | 'watch' | 'watch-list' | 'other';
  /** Monotonic. */
  readonly atMs: number;
}

/** What it gets in place of the truth. */
export type Deed =
  | { readonly status: number; readonly message?: string; readonly retryAfter?: number }
  | { readonly body: string; readonly after: 'end' | 'reset' | 'nothing' }
  | 'nothing';

export interface ApiServerOptions {
  readonly protocol?: 'plain' | 'http/1.1' | 'h2';
  /** Whether it knows watch-lists; the others say so with 422 or take them for a watch. */
  readonly watchList?: 'yes' | 'refused' | 'ignored';
  /** Asked for as a bearer token. */
  readonly token?: string;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** A watch that is open. */
export class OpenWatch {
  readonly path: string;
  readonly #response: Response;
  readonly #matches: (object: StoredObject) => boolean;

  constructor(path: string, response: Response, matches: (object: StoredObject) => boolean) {
    this.path = path;
    this.#response = response;
    this.#matches = matches;
  }

  /** One event, if it is of those that were asked for. */
  send(type: string, object: unknown): void {
    if (type !== 'BOOKMARK' && type !== 'ERROR' && !this.#matches(object as StoredObject)) return;
    this.raw(`${JSON.stringify({ type, object })}\n`);
  }

  raw(text: string): void {
    (this.#response as ServerResponse).write(text);
  }

  end(): void {
    this.#response.end();
  }
}

const COLLECTIONS = [
  '/api/v1/services',
  '/apis/discovery.k8s.io/v1/endpointslices',
  '/api/v1/namespaces',
  '/api/v1/pods',
  '/api/v1/nodes',
];

/** An API server as far as a reflector sees one: it lists and watches, and misbehaves on command. */
export class ApiServer {
  readonly asks: Ask[] = [];
  readonly watches = new Set<OpenWatch>();
  /** Decides what an ask gets; undefined: the truth. */
  deed: (ask: Ask) => Deed | undefined = () => undefined;
  /** Changes are not told to watches, as if the server had died behind its socket. */
  muted = false;
  token: string | undefined;
  readonly #options: ApiServerOptions;
  readonly #collections = new Map<string, Collection>();
  #certificate: Certificate | undefined;
  readonly #server: Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();
  readonly #directory = mkdtempSync(join(tmpdir(), 'heddle-api-'));
  #relay: Relay | undefined = undefined;
  #version = 100;
  #pagesExpired = false;

  private constructor(options: ApiServerOptions) {
    this.#options = options;
    this.token = options.token;
    for (const path of COLLECTIONS) this.define(path);
    const { protocol = 'plain' } = options;
    const onRequest = (request: Request, response: Response): void => {
      this.#answer(request, response);
    };
    this.#certificate = protocol === 'plain' ? undefined : selfSigned();
    if (protocol === 'plain') this.#server = createServer(onRequest);
    else if (protocol === 'http/1.1') this.#server = createHttpsServer({ ...this.#certificate }, onRequest);
    else {
      const server = createSecureServer({ ...this.#certificate }, onRequest);
      server.on('secureConnection', (socket) => {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
      });
      server.on('session', (session) => {
        this.#sessions.add(session);
        session.on('error', () => undefined).on('close', () => this.#sessions.delete(session));
      });
      server.on('sessionError', () => undefined);
      this.#server = server as unknown as Server;
    }
    this.#server.on('clientError', () => undefined).on('tlsClientError', () => undefined);
  }

  static async start(options: ApiServerOptions = {}): Promise<ApiServer> {
    const server = new ApiServer(options);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    server.#relay = await Relay.start((server.#server.address() as AddressInfo).port);
    return server;
  }

  /** What stands between it and its clients. */
  get network(): Relay {
    return this.#relay!;
  }

  get port(): number {
    return this.network.port;
  }

  get url(): string {
    return `${this.#certificate === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  get certificate(): string {
    return this.#certificate?.cert ?? '';
  }

  /** The newest version of anything. */
  get version(): number {
    return this.#version;
  }

  /** A kubeconfig that leads here; `user` and `cluster` stand in it as they are. */
  kubeconfig({ user = {}, cluster = {}, context = 'test' }: KubeconfigParts = {}): string {
    const trust =
      this.#certificate === undefined
        ? {}
        : { 'certificate-authority-data': Buffer.from(this.#certificate.cert).toString('base64') };
    const config = {
      'apiVersion': 'v1',
      'kind': 'Config',
      'current-context': context,
      'clusters': [{ name: 'fake', cluster: { server: this.url, ...trust, ...cluster } }],
      'contexts': [{ name: 'test', context: { cluster: 'fake', user: 'tester' } }],
      'users': [{ name: 'tester', user: { ...(this.token !== undefined && { token: this.token }), ...user } }],
    };
    return this.file('kubeconfig', JSON.stringify(config));
  }

  /** A file of its own directory, which goes with it. */
  file(name: string, text: string): string {
    const file = join(this.#directory, name);
    writeFileSync(file, text, { mode: 0o755 });
    return file;
  }

  /** A new kind. */
  define(path: string): void {
    this.#collections.set(path, new Collection());
  }

  undefine(path: string): void {
    this.#collections.delete(path);
    for (const watch of this.watches) if (watch.path === path) watch.end();
  }

  put(path: string, object: NewObject): StoredObject {
    const event = this.#collection(path).put(object, ++this.#version);
    if (!this.muted) for (const watch of this.watchesOf(path)) watch.send(event.type, event.object);
    return event.object;
  }

  remove(path: string, name: string, namespace = ''): void {
    const event = this.#collection(path).remove(name, namespace, ++this.#version);
    if (event === undefined || this.muted) return;
    for (const watch of this.watchesOf(path)) watch.send(event.type, event.object);
  }

  watchesOf(path: string): readonly OpenWatch[] {
    return [...this.watches].filter((watch) => watch.path === path);
  }

  asksFor(path: string, ...types: readonly Ask['type'][]): readonly Ask[] {
    return this.asks.filter((ask) => ask.path === path && (types.length === 0 || types.includes(ask.type)));
  }

  /** Nobody may go on from a version of before. */
  compact(): void {
    this.#version++;
    for (const collection of this.#collections.values()) collection.compact(this.#version);
  }

  /** The next page of any list is gone. */
  expirePages(): void {
    this.#pagesExpired = true;
  }

  bookmark(): void {
    for (const watch of this.watches)
      watch.send('BOOKMARK', { metadata: { resourceVersion: String(this.#version), creationTimestamp: null } });
  }

  /** Another certificate of another authority, for the connections that come. */
  replaceAuthority(): void {
    this.#certificate = selfSigned();
    (this.#server as unknown as TlsServer).setSecureContext(this.#certificate);
  }

  /** Asks clients over HTTP/2 to go elsewhere (RFC 9113, 6.8). */
  goAway(): void {
    for (const session of this.#sessions) session.goaway();
  }

  async stop(): Promise<void> {
    await this.#relay?.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    if ('closeAllConnections' in this.#server) this.#server.closeAllConnections();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #collection(path: string): Collection {
    return this.#collections.get(path)!;
  }

  #answer(request: Request, response: Response): void {
    const { pathname: path, searchParams: query } = new URL(request.url!, 'http://api');
    const { authorization } = request.headers;
    const isWatch = query.get('watch') === 'true';
    const collection = this.#collections.get(path);
    const type = isWatch ? (query.has('sendInitialEvents') ? 'watch-list' : 'watch') : collection ? 'list' : 'other';
    const ask: Ask = { method: request.method!, path, query, authorization, type, atMs: performance.now() };
    this.asks.push(ask);
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    const deed = this.deed(ask);
    if (deed === 'nothing') return;
    if (deed !== undefined) this.#do(deed, response);
    else if (this.token !== undefined && authorization !== `Bearer ${this.token}`)
      refuse(response, 401, 'Unauthorized');
    else if (collection === undefined) this.#answerOne(path, response);
    else if (isWatch) this.#watch(ask, collection, response);
    else this.#list(query, collection, response);
  }

  #do(deed: Exclude<Deed, 'nothing'>, response: Response): void {
    if ('status' in deed) {
      if (deed.retryAfter !== undefined) response.setHeader('retry-after', String(deed.retryAfter));
      refuse(response, deed.status, deed.message ?? 'As it was told');
      return;
    }
    const plain = response as ServerResponse;
    plain.writeHead(200, { 'content-type': 'application/json' });
    plain.write(deed.body);
    if (deed.after === 'end') plain.end();
    else if (deed.after === 'reset')
      setTimeout(() => ('stream' in response ? response.stream.close(2) : plain.destroy()), 20);
  }

  #answerOne(path: string, response: Response): void {
    const parts = path.split('/');
    const object = this.#collections.get(parts.slice(0, -1).join('/'))?.get(parts.at(-1)!);
    const isGroup =
      path.startsWith('/apis/') && [...this.#collections.keys()].some((one) => one.startsWith(`${path}/`));
    if (isGroup) reply(response, { kind: 'APIGroup', name: parts.at(-1) });
    else if (path === '/version') reply(response, { major: '1', minor: '35' });
    else if (object === undefined) refuse(response, 404, 'the server could not find the requested resource');
    else reply(response, object);
  }

  #list(query: URLSearchParams, collection: Collection, response: Response): void {
    const [version = String(this.#version), from = '0'] = (query.get('continue') ?? '')
      .split(':')
      .filter((part) => part);
    if (query.has('continue') && this.#pagesExpired) {
      refuse(response, 410, 'The provided continue parameter is too old');
      return;
    }
    const limit = Number(query.get('limit') ?? Number.POSITIVE_INFINITY);
    const objects = collection.objects.filter(matcher(query));
    const end = Number(from) + limit;
    const next = end < objects.length ? `${version}:${end}` : '';
    const items = objects.slice(Number(from), end);
    reply(response, { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: version, continue: next }, items });
  }

  #watch({ path, query, type }: Ask, collection: Collection, response: Response): void {
    const { watchList = 'yes' } = this.#options;
    if (type === 'watch-list' && watchList === 'refused') {
      refuse(response, 422, 'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled');
      return;
    }
    const matches = matcher(query);
    const plain = response as ServerResponse;
    plain.writeHead(200, { 'content-type': 'application/json' });
    plain.flushHeaders();
    const watch = new OpenWatch(path, response, matches);
    if (type === 'watch-list') {
      for (const object of collection.objects) watch.send('ADDED', object);
      const annotations = { 'k8s.io/initial-events-end': 'true' };
      const metadata = { resourceVersion: String(this.#version), annotations };
      if (watchList === 'yes') watch.send('BOOKMARK', { metadata });
    } else {
      const events = collection.since(Number(query.get('resourceVersion') ?? 0));
      if (events === undefined) {
        watch.send('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' });
        watch.end();
        return;
      }
      for (const event of events) watch.send(event.type, event.object);
    }
    this.watches.add(watch);
    const timer = setTimeout(
      () => {
        watch.end();
      },
      Number(query.get('timeoutSeconds') ?? 1800) * 1000,
    );
    plain.on('close', () => {
      clearTimeout(timer);
      this.watches.delete(watch);
    });
  }
}

export interface KubeconfigParts {
  readonly user?: object;
  readonly cluster?: object;
  readonly context?: string;
}

/** Only the selector that is used. */
function matcher(query: URLSearchParams): (object: StoredObject) => boolean {
  const node = /^spec\.nodeName=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  return (object) => node === undefined || (object['spec'] as { nodeName?: string } | undefined)?.nodeName === node;
}

function reply(response: Response, value: unknown): void {
  (response as ServerResponse).writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function refuse(response: Response, code: number, message: string): void {
  (response as ServerResponse).writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message }));
}
