import net from 'node:net';
import { MessageChannel } from 'node:worker_threads';

/**
 * Can this Node hand a connection to another thread? Tried with a real one: sockets became transferable in Node 26.6 and in
 * some 24.x (nodejs/node pull request 64225), on some systems later than on others.
 */
export async function canTransfer(): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  const server = net.createServer({ pauseOnConnect: true });
  const client = new net.Socket();
  try {
    return await new Promise<boolean>((resolve) => {
      const refuse = (): void => {
        resolve(false);
      };
      server.on('error', refuse);
      // Out of descriptors, say. After the answer it stays, because the end of the try resets the client.
      client.on('error', refuse);
      server.on('connection', (socket) => {
        try {
          port1.postMessage(socket, [socket]);
          resolve(true);
        } catch {
          socket.destroy();
          resolve(false);
        }
      });
      server.listen({ host: '127.0.0.1', port: 0 }, () => {
        client.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
      });
    });
  } finally {
    client.destroy();
    server.close();
    port1.close();
    port2.close();
  }
}
