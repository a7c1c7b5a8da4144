import { createServer, type AddressInfo, type Socket } from 'node:net';

/** What the probes tell. */
export interface Health {
  /** Why the node is not ready; undefined: it is. */
  readonly unready: string | undefined;
}

export interface ProbeServer {
  readonly port: number;
  close(): void;
}

const CONNECTIONS_MAX = 100;
const REQUEST_BYTES_MAX = 8192;
const REQUEST_MS_MAX = 2000;
/** Without two parts that could match the same octets: one request must not cost more than a look at each. */
const REQUEST = /^(?:GET|HEAD) (\/[^ ?\r\n]*)(?:\?[^ \r\n]*)? HTTP\/1\.[01]\r\n/;

/**
 * Liveness and readiness for the kubelet: one request, one answer, one connection. Not by node:http, whose code would cost
 * 9 MB of memory for two fixed answers. Rejects when the port cannot be had.
 */
export function openProbes(host: string, port: number, health: Health): Promise<ProbeServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    // Whoever waits longest makes room: silent clients must not keep the kubelet out.
    const [oldest] = sockets;
    if (sockets.size >= CONNECTIONS_MAX) oldest?.destroy();
    sockets.add(socket);
    const timer = setTimeout(() => socket.destroy(), REQUEST_MS_MAX);
    socket.on('close', () => {
      clearTimeout(timer);
      sockets.delete(socket);
    });
    socket.on('error', () => {});
    answerOnce(socket, health);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      server.on('error', () => {});
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}

function answerOnce(socket: Socket, health: Health): void {
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (part: string) => {
    text += part;
    const complete = text.includes('\r\n\r\n');
    if (!complete && text.length <= REQUEST_BYTES_MAX) return;
    socket.removeAllListeners('data');
    socket.resume();
    const path = text.length <= REQUEST_BYTES_MAX ? REQUEST.exec(text)?.[1] : undefined;
    const [status, body] =
      path === undefined ? ['400 Bad Request', 'Expected GET /livez or /readyz'] : answer(path, health);
    const head = `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${body.length + 1}\r\nconnection: close\r\n\r\n`;
    socket.end(text.startsWith('HEAD') ? head : `${head}${body}\n`);
  });
}

function answer(path: string, { unready }: Health): readonly [status: string, body: string] {
  if (path === '/livez') return ['200 OK', 'ok'];
  if (path === '/readyz') return unready === undefined ? ['200 OK', 'ok'] : ['503 Service Unavailable', unready];
  return ['404 Not Found', 'Expected /livez or /readyz'];
}
