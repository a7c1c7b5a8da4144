import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

// Stands in for the image hashicorp/http-echo: -listen=:8080 -text=… is what it answers to everything.

const flags = process.argv.slice(2).map((flag) => `-${flag}`);
const { values } = parseArgs({ args: flags, options: { listen: { type: 'string' }, text: { type: 'string' } } });
createServer((request, reply) => {
  request.resume();
  reply.end(`${values.text}\n`);
}).listen(Number(values.listen!.replace(/^.*:/, '')), '::');
process.once('SIGTERM', () => process.exit(0));
