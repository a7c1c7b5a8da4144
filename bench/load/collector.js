/** Takes what is sent to it over HTTP and throws it away: where traced proxies send their spans. */
import { createServer } from 'node:http';

createServer((request, response) => {
  request.resume().on('end', () => response.end('{}'));
}).listen(Number(process.argv[2]), '127.0.0.1');
