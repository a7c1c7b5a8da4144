// The peer http-proxy, as one would write it with care: connections to the upstreams are kept, upstreams take turns.
// Plain JavaScript, so that no loader of .ts files is counted against it.
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [port, ...upstreams] = process.argv.slice(2);
const targets = upstreams.map((upstream) => `http://127.0.0.1:${upstream}`);
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true, maxFreeSockets: 1024 }), xfwd: true });
let turn = 0;

proxy.on('error', (_error, _request, response) => {
  if ('writeHead' in response && !response.headersSent) response.writeHead(502);
  response.end();
});

const server = createServer((request, response) => {
  turn = (turn + 1) % targets.length;
  proxy.web(request, response, { target: targets[turn] });
});
server.keepAliveTimeout = 300_000;
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
