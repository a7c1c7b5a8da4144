import { createServer } from 'node:net';
import type { ListenAddress } from '../../model/settings.ts';

const TRIES = 50;

/**
 * This address, or the first with a higher port that nobody listens on. The node takes its port a moment later: if another
 * program is faster, it says so.
 */
export async function freeAddress(wanted: ListenAddress): Promise<ListenAddress> {
  // The system chooses, and finds a free one.
  if (wanted.port === 0) return wanted;
  for (let port = wanted.port; port < wanted.port + TRIES && port <= 65_535; port++)
    if (await isFree({ host: wanted.host, port })) return { host: wanted.host, port };
  return wanted;
}

/** Only "taken" is a reason to look further: what else is wrong with an address, the node tells. */
function isFree({ host, port }: ListenAddress): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.on('error', (error: NodeJS.ErrnoException) => {
      done(error.code !== 'EADDRINUSE');
    });
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() => {
        done(true);
      });
    });
  });
}
