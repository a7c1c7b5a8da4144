import { Agent, request } from 'node:http';
import { ASKED } from './shop.ts';

const EVERY_MS = 200;
/** Of requests under way to one Service; the ones beyond are left out. */
const ACTIVE_MAX = 16;
const TIMEOUT_MS = 5000;

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
