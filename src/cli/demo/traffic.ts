import { Agent, request } from 'node:http';
import { ASKED } from './shop.ts';

const EVERY_MS = 200;
/** Of requests under way to one Service; the ones beyond are left out. */
const ACTIVE_MAX = 16;
const TIMEOUT_MS = 5000;

const WARM_REQUESTS = 40;
const WARM_AT_ONCE = 10;

/**
 * Asks a copy directly until its code has been compiled: a first answer that took 30 ms keeps a balancer that goes by latency
 * away from its copy for ten seconds and more. Resolves when all is answered or has failed.
 */
export async function warmUp(port: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: WARM_AT_ONCE });
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const outgoing = request({ host: '127.0.0.1', port, agent, timeout: TIMEOUT_MS });
      outgoing.on('response', (response) => response.on('error', () => {}).resume());
      outgoing.on('timeout', () => outgoing.destroy());
      // One of the copies cuts connections.
      outgoing.on('error', () => {});
      outgoing.on('close', resolve);
      outgoing.end();
    });
  await Promise.all(Array.from({ length: WARM_REQUESTS }, one));
  agent.destroy();
}

/** Asks each of the Services some times a second through the mesh, so that there is something to see. Never ends by itself. */
export function startTraffic({ host, port }: { readonly host: string; readonly port: number }): void {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 * ACTIVE_MAX });
  for (const service of ASKED) {
    let active = 0;
    setInterval(() => {
      if (active >= ACTIVE_MAX) return;
      active++;
      const headers = { 'host': `${service}.shop`, 'user-agent': 'heddle-demo' };
      const outgoing = request({ host, port, path: '/', headers, agent, timeout: TIMEOUT_MS });
      outgoing.on('response', (response) => response.on('error', () => {}).resume());
      outgoing.on('timeout', () => outgoing.destroy());
      // What the mesh made of it is counted there.
      outgoing.on('error', () => {});
      outgoing.on('close', () => active--);
      outgoing.end();
    }, EVERY_MS);
  }
}
