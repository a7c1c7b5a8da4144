import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

// Clients in a process of their own, `PORT COUNT`: once all are there, each sends something, and again as soon as something comes back.

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
const SENT = Buffer.from('again');

process.on('disconnect', () => process.exit());
const sockets: Socket[] = [];
for (let index = 0; index < count; index++) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  socket.on('data', () => socket.write(SENT));
  await once(socket, 'connect');
  sockets.push(socket);
}
for (const socket of sockets) socket.write(SENT);
