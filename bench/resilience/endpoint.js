import { createServer } from 'node:http';

// An upstream of the comparison, a process of its own: `node endpoint.js PORT`. Its parent tells it its mood, as a message:
// answer (200), silent, half (503 to each second request), slow (it answers after a second).

const SLOW_MS = 1000;
let mood = 'answer';
let count = 0;

const server = createServer((request, response) => {
  request.resume();
  count += 1;
  const answer = (status) => {
    response.writeHead(status, { 'content-type': 'text/plain', 'content-length': 2 });
    response.end('ok');
  };
  if (mood === 'silent') return;
  if (mood === 'slow') setTimeout(answer, SLOW_MS, 200);
  else answer(mood === 'half' && count % 2 === 0 ? 503 : 200);
});
server.keepAliveTimeout = 60_000;
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 2048 }, () => process.send('listening'));
process.on('message', (message) => {
  mood = message;
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
