import { parseIp } from '../lib/ip.ts';
import { shown } from '../lib/shown.ts';
import type { Problem } from '../model/problem.ts';
import type { Backend, Endpoint, Snapshot } from '../model/snapshot.ts';

/**
 * Fits a snapshot to the node that will obey it. Pure. So far it takes out the endpoints that are our own listeners, so that
 * the mesh never dials itself: `own` are the addresses of this machine with the ports that we listen on. Snapshots go on to
 * the next `compile` as they were before this, or else it would take each such backend for a changed one.
 */
export function localize(
  snapshot: Snapshot,
  own: readonly { address: string; port: number }[],
): { snapshot: Snapshot; problems: readonly Problem[] } {
  const ports = new Set(own.map(({ port }) => port));
  const listeners = new Set(own.map(({ address, port }) => `${canonical(address)} ${port}`));
  const isOwn = ({ address, port }: Endpoint): boolean =>
    ports.has(port) && (isLoopback(address) || listeners.has(`${address} ${port}`));

  const problems: Problem[] = [];
  const backends = snapshot.backends.map((backend): Backend => {
    const mine = backend.endpoints.filter(isOwn);
    if (mine.length === 0) return backend;
    const object = `Service ${backend.id.slice(0, backend.id.lastIndexOf(':'))}`;
    for (const { address, port } of mine) {
      problems.push({
        object,
        field: '',
        expected: 'endpoints that are no listener of this mesh',
        got: shown(`${address} port ${port}`),
      });
    }
    return { id: backend.id, endpoints: backend.endpoints.filter((endpoint) => !isOwn(endpoint)) };
  });
  return { snapshot: problems.length === 0 ? snapshot : { ...snapshot, backends }, problems };
}

/** Listeners of both families see IPv4 addresses in IPv6 form (RFC 4291, 2.5.5.2). */
function canonical(address: string): string {
  const { address: text = address } = parseIp(address) ?? {};
  return text.replace(/^::ffff:(?=\d+\.)/, '');
}

/** Any of these reaches a listener on all addresses, and most reach one on loopback. */
function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
