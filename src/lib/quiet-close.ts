import type { Server } from 'node:net';

/**
 * A turn of the event loop without work takes a microsecond or two. One that took longer may have left connections in the
 * kernel's queue behind it; a machine that has none so quick gets a second chance.
 */
const QUICK_MS = 0.004;
const QUICK_MS_LATER = 0.05;

/**
 * Closes a listener in a turn of the event loop in which no connection came and which was quick: the kernel resets what waits
 * in its queue at the close, and right after such a turn nothing does. For listeners that share their port (SO_REUSEPORT),
 * so that new connections go to the other ones from then on.
 * @param waitMs until it is closed whatever comes. The promise never rejects.
 */
export function closeQuietly(server: Server, waitMs: number): Promise<void> {
  let connections = 0;
  const count = (): void => void connections++;
  server.on('connection', count);
  const startMs = performance.now();
  let lastMs = Number.NEGATIVE_INFINITY;
  let before = 0;
  return new Promise((resolve) => {
    // Between two of these callbacks the event loop looks for connections once.
    const turn = (): void => {
      const nowMs = performance.now();
      const quickMs = nowMs - startMs < waitMs / 2 ? QUICK_MS : QUICK_MS_LATER;
      const quiet = connections === before && nowMs - lastMs < quickMs;
      if (quiet || nowMs - startMs > waitMs) {
        server.close();
        server.removeListener('connection', count);
        resolve();
        return;
      }
      lastMs = nowMs;
      before = connections;
      setImmediate(turn);
    };
    setImmediate(turn);
  });
}
