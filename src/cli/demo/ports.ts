import { createServer, Server } from 'node:net';
import type { ListenAddress } from '../../model/settings.ts';

const TRIES = 50;

/**
 * For each address itself, or the first with a higher port that nobody listens on; none of them stands in the way of another.
 * The node takes its ports a moment later: if another program is faster, it says so.
 */
export async function freeAddresses(wanted: readonly ListenAddress[]): Promise<readonly ListenAddress[]> {
  const held: Server[] = [];
  const free: ListenAddress[] = [];
  for (const address of wanted) free.push(await hold(address, held));
  await Promise.all(held.map((server) => new Promise((closed) => server.close(closed))));
  return free;
}

/** What was found is listened on, so that whoever comes next finds it taken. */
async function hold(wanted: ListenAddress, held: Server[]): Promise<ListenAddress> {
  // The system chooses, and finds a free one.
  if (wanted.port === 0) return wanted;
  for (let port = wanted.port; port < wanted.port + TRIES && port <= 65_535; port++) {
    const opened = await open({ host: wanted.host, port });
    if (opened instanceof Server) held.push(opened);
    // Only "taken" is a reason to look further: what else is wrong with an address, the node tells.
    else if (opened.code === 'EADDRINUSE') continue;
    return { host: wanted.host, port };
  }
  return wanted;
}

function open({ host, port }: ListenAddress): Promise<Server | NodeJS.ErrnoException> {
  return new Promise((done) => {
    const server = createServer();
    server.on('error', done);
    server.listen({ host, port, exclusive: true }, () => {
      done(server);
    });
  });
}
