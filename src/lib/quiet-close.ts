import type { Server } from 'node:net';

/** A turn of the event loop that takes longer may have left connections in the kernel's queue behind it. */
const QUICK_MS = 0.05;

/**
 * Closes a listener in a turn of the event loop in which no connection came and which was quick: the kernel resets what waits
 * in its queue at the close, and right after such a turn nothing does. For listeners that share their port (SO_REUSEPORT),
 * so that new connections go to the other ones from then on.
 * @param waitMs until it is closed whatever comes. The promise never rejects.
 */
export async function closeQuietly(server: Server, waitMs: number): Promise<void> {
  let connections = 0;
  const count = (): void => void connections++;
  server.on('connection', count);
  const giveUpMs = performance.now() + waitMs;
  let lastMs = Number.NEGATIVE_INFINITY;
  let before = 0;
  for (;;) {
    // Between two of these callbacks the event loop looks for connections once.
    await nextTurn();
    const nowMs = performance.now();
    const quiet = connections === before && nowMs - lastMs < QUICK_MS;
    if (quiet || nowMs > giveUpMs) break;
    lastMs = nowMs;
    before = connections;
  }
  server.close();
  server.removeListener('connection', count);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
