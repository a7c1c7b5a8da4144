import { type IncomingMessage, createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import { Connections } from './connections.ts';
import { Content } from './content.ts';
import { checkHost, checkOrigin } from './guard.ts';
import { Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { page } from './page.ts';
import { readQuery } from './query.ts';
import { problemDocument, PROBLEM_TYPE, Refusal } from './refusal.ts';
import { type Answer, adminRoutes, probeRoutes, type Route } from './routes.ts';
import type { AdminSource } from './source.ts';

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly kind: 'admin' | 'probe';
  readonly source: AdminSource;
  readonly exclusive: boolean;
  readonly onDefect: (error: unknown) => void;
}

export interface StartedServer {
  readonly port: number;
  close(): Promise<void>;
}

const HEAD_MS = 2000;
const REQUEST_MS = 5000;
const CHECK_MS = 500;
/** Longer than Prometheus' usual 15 s between two scrapes. */
const KEEPALIVE_MS = 20_000;
/** Without a byte in either direction; a tap has a heartbeat. */
const SILENCE_MS = 30_000;
const HEAD_BYTES_MAX = 16 * 1024;
const BODY_BYTES_MAX = 4096;
const GZIP_BYTES_MIN = 1024;
const NO_BODY = Buffer.alloc(0);
/** As the mesh port does, so that a new process can take over from an old one; elsewhere Node refuses to (acceptor.ts). */
const REUSE_PORT = process.platform === 'linux';

/** In place of the compilers of fastify, which it would load for nothing: 30 ms of each start. */
const NO_COMPILERS = { buildValidator: noCompiler, buildSerializer: noCompiler };

/** Of all answers: no copies, no guesses about what they are, no frame around them. */
const HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['cache-control', 'no-store'],
  ['x-content-type-options', 'nosniff'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['cross-origin-resource-policy', 'same-origin'],
];

/** Opens the admin port, or the probe port, which has less and asks less. Rejects when the port cannot be had. */
export async function startServer(options: ServerOptions): Promise<StartedServer> {
  const { host, port, kind, source, exclusive } = options;
  const connections = new Connections();
  const routes = routesOf(kind, source);
  const app = fastify({
    serverFactory: (handler) => httpServer(handler, connections),
    bodyLimit: BODY_BYTES_MAX,
    exposeHeadRoutes: false,
    schemaController: { compilersFactory: NO_COMPILERS },
    frameworkErrors: (error, request, reply) => refuse(error, request, reply, options),
  });
  app.removeContentTypeParser('text/plain');
  guard(app, kind);
  for (const route of routes) serveRoute(app, route, connections);
  app.setNotFoundHandler((request) => {
    throw notFound(request, routes);
  });
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply, options));
  await app.listen({ host, port, ...(exclusive || !REUSE_PORT ? {} : { reusePort: true }) });
  return {
    port: (app.server.address() as AddressInfo).port,
    close: async () => {
      connections.endAll();
      await app.close();
    },
  };
}

function noCompiler(): never {
  throw new Error("Expected routes without schemas of fastify's kind");
}

function routesOf(kind: ServerOptions['kind'], source: AdminSource): readonly Route[] {
  const probes = probeRoutes(source, new Metrics(source));
  if (kind === 'probe') return probes;
  const main = [...probes, ...adminRoutes(source)];
  const documentation: readonly Route[] = [
    fixed(
      '/openapi.json',
      'This API as OpenAPI 3.1',
      'application/json',
      () => `${JSON.stringify(openApi(all, source.version))}\n`,
    ),
    fixed('/', 'What is here', 'text/html; charset=utf-8', () => page(all, source)),
  ];
  const all = [...main, ...documentation];
  return all;
}

function fixed(path: string, summary: string, type: string, text: () => string): Route {
  const answer = (): Answer => ({ status: 200, type, content: Content.of(text()) });
  return { method: 'GET', path, summary, params: {}, type, guarded: false, answer };
}

function httpServer(handler: RequestListener, connections: Connections): Server {
  const server = createServer(
    {
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: HEAD_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEPALIVE_MS,
      noDelay: true,
    },
    (request, reply) => {
      connections.answer(request.socket, reply);
      handler(request, reply);
    },
  );
  server.setTimeout(SILENCE_MS);
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
  });
  server.on('clientError', refuseRaw);
  return server;
}

function guard(app: FastifyInstance, kind: ServerOptions['kind']): void {
  app.addHook('onRequest', (request, reply, done) => {
    for (const [name, value] of HEADERS) reply.header(name, value);
    // The authority of an absolute target would be one more name that nothing here looks at.
    if (!request.url.startsWith('/')) throw new Refusal(400, `Expected a path as target, got ${shown(request.url)}`);
    if (kind === 'admin') checkHost(request.raw);
    done();
  });
}

function serveRoute(app: FastifyInstance, route: Route, connections: Connections): void {
  app.route({
    method: route.method === 'GET' ? ['GET', 'HEAD'] : [route.method],
    url: route.path,
    bodyLimit: route.bodyBytesMax ?? BODY_BYTES_MAX,
    onRequest: (request, _reply, done) => {
      if (route.guarded) checkOrigin(request.raw);
      done();
    },
    handler: async (request, reply) => {
      const values = readQuery(request.url, route.params);
      const { accept } = request.headers;
      return await send(request, reply, await route.answer({ values, body: request.body, accept }), connections);
    },
  });
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, type, content }: Answer,
  connections: Connections,
): Promise<FastifyReply> {
  reply.code(status).type(type).header('vary', 'accept, accept-encoding');
  const headOnly = request.method === 'HEAD';
  if (!(content instanceof Content)) {
    if (headOnly) content.destroy();
    return reply.send(headOnly ? NO_BODY : content);
  }
  const zip = content.bytes > GZIP_BYTES_MIN && acceptsGzip(request.raw);
  const sent = zip ? await content.gzipped() : content;
  if (zip) reply.header('content-encoding', 'gzip');
  reply.header('content-length', sent.bytes);
  if (headOnly) return reply.send(NO_BODY);
  connections.reserve(request.raw.socket, sent.bytes);
  return reply.send(sent.stream());
}

function acceptsGzip({ headers }: IncomingMessage): boolean {
  return /(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.0*[1-9])[0-9.]*\s*)?(?:,|$)/i.test(headers['accept-encoding'] ?? '');
}

function notFound({ method, url }: FastifyRequest, routes: readonly Route[]): Refusal {
  const path = url.split('?', 1)[0] ?? '';
  const allowed = routes
    .filter((route) => route.path === path)
    .flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  if (allowed.length > 0) {
    const allow = allowed.join(', ');
    return new Refusal(405, `Expected ${allow}, got ${method}`, { headers: { allow }, members: { allowed } });
  }
  const paths = [...new Set(routes.map((route) => route.path))];
  const near = nearest(path, paths);
  const hint = near === undefined ? '' : `; ${near} is the nearest`;
  return new Refusal(404, `Expected one of ${paths.join(', ')}; got ${shown(path)}${hint}`, { members: { paths } });
}

/** An error becomes a problem document; of one that nobody expected the client learns nothing. */
function refuse(error: unknown, _request: FastifyRequest, reply: FastifyReply, { onDefect }: ServerOptions): void {
  const refusal = error instanceof Refusal ? error : foreignRefusal(error, onDefect);
  const { bytes, chunks } = Content.of(problemDocument(refusal));
  for (const [name, value] of HEADERS) reply.header(name, value);
  // What the handler had set for its own answer.
  reply.removeHeader('content-encoding').removeHeader('content-length');
  void reply
    .code(refusal.status)
    .headers(refusal.headers)
    .type(PROBLEM_TYPE)
    .header('content-length', bytes)
    .send(Buffer.from(chunks[0]!));
}

/** Of fastify: a body that is too large, no JSON, of another type, a target that cannot be decoded. */
function foreignRefusal(error: unknown, onDefect: (error: unknown) => void): Refusal {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (error instanceof Error && status >= 400 && status < 500) return new Refusal(status, error.message);
  onDefect(error);
  return new Refusal(500, 'Expected this to work, got a defect: the log of the node has it, please report');
}

/** What is no HTTP never becomes a request: it is answered on the socket. */
function refuseRaw(error: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const { bytes, chunks } = Content.of(
    problemDocument(new Refusal(status, 'Expected a complete HTTP/1.1 request in time')),
  );
  const fields = [...HEADERS, ['content-type', PROBLEM_TYPE], ['content-length', bytes], ['connection', 'close']];
  const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n`);
  socket.end(chunks[0]!, () => socket.destroy());
}
