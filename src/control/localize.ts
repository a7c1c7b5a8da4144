import { isDeepStrictEqual } from 'node:util';
import { parseIp } from '../lib/ip.ts';
import { shown } from '../lib/shown.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import { objectName } from '../model/resource.ts';
import { type Backend, type Configuration, type Endpoint, endpointKey } from '../model/snapshot.ts';

/**
 * Fits a configuration to the node that will obey it. Pure. So far it takes out the endpoints that are our own listeners, so
 * that the mesh never dials itself: `own` are the addresses of this machine with the ports that we listen on.
 * @param previous what it gave before: a backend that comes out as then is the same object, so that changes are seen by identity.
 */
export function localize(
  configuration: Configuration,
  own: readonly Endpoint[],
  previous: Configuration | undefined,
): { configuration: Configuration; problems: readonly Problem[] } {
  const ports = new Set(own.map(({ port }) => port));
  const listeners = new Set(own.map(({ address, port }) => endpointKey({ address: canonical(address), port })));
  const isOwn = (endpoint: Endpoint): boolean =>
    ports.has(endpoint.port) && (isLoopback(endpoint.address) || listeners.has(endpointKey(endpoint)));
  const before = new Map(previous?.backends.map((backend) => [backend.id, backend]));

  const problems: Problem[] = [];
  const backends = configuration.backends.map((backend): Backend => {
    const mine = backend.endpoints.filter(isOwn);
    if (mine.length === 0) return backend;
    for (const endpoint of mine) {
      const expected = 'endpoints that are no listener of this mesh';
      problems.push(
        problemOf(objectName('Service', backend), { field: '', expected, got: shown(endpointKey(endpoint)) }),
      );
    }
    const left = { ...backend, endpoints: backend.endpoints.filter((endpoint) => !isOwn(endpoint)) };
    const known = before.get(backend.id);
    return isDeepStrictEqual(known, left) ? known! : left;
  });
  return { configuration: problems.length === 0 ? configuration : { ...configuration, backends }, problems };
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
