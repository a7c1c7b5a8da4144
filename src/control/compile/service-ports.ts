import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { objectName, type Service, type ServicePort } from '../../model/resource.ts';
import { backendIdOf, objectKey } from '../../model/snapshot.ts';
import { type FrontendWishes, saysHttp } from './annotations.ts';
import type { Ref } from './refs.ts';

/** Application protocols (KEP-2433) that are plain HTTP/1.1 on the wire; a port without one is taken for it too. */
const SPOKEN: ReadonlySet<string> = new Set(['', 'http', 'http/1.1', 'kubernetes.io/ws']);
/** Of ports, in a text. */
const LISTED_MAX = 10;

/** The ports that are in the mesh: the TCP ports that are wished and understood, in the order of the manifest. */
export function meshPorts(
  service: Service,
  wishes: FrontendWishes,
): { readonly ports: readonly ServicePort[]; readonly mismatches: readonly Mismatch[] } {
  const mismatches: Mismatch[] = [];
  const isHttp = saysHttp(service);
  const understood = service.ports.filter((port, index) => {
    if (port.protocol !== 'TCP') return false;
    if (wishes.ports?.has(port.port) === false) return false;
    if (isSpoken(port, isHttp)) return true;
    mismatches.push({
      field: `spec.ports[${index}].appProtocol`,
      expected:
        'http, http/1.1, kubernetes.io/ws or none (others are not yet obeyed, and what is not HTTP/1.1 would be broken, ' +
        'so this port is left out of the mesh; heddle.dev/traffic-type: http says that it is HTTP/1.1 all the same)',
      got: shown(port.appProtocol),
    });
    return false;
  });
  return { ports: understood, mismatches };
}

/** What each port of a Service is to the rules that name it, by number, whether it is in the mesh or not. */
export function offersOf(service: Service): ReadonlyMap<number, Ref> {
  const isHttp = saysHttp(service);
  const offers = new Map<number, Ref>();
  for (const port of service.ports) {
    // A number may stand for two protocols, as it does for DNS.
    if (port.protocol === 'TCP' || !offers.has(port.port)) offers.set(port.port, offerOf(service, port, isHttp));
  }
  return offers;
}

function offerOf(service: Service, port: ServicePort, isHttp: boolean): Ref {
  const name = `Port ${port.port} of ${objectName('Service', service)}`;
  if (port.protocol !== 'TCP')
    return { reason: 'UnsupportedProtocol', text: `${name} is ${port.protocol}, and HTTP needs TCP` };
  if (isSpoken(port, isHttp)) return { backend: backendIdOf(objectKey(service), port.port) };
  const text = `${name} speaks ${shown(port.appProtocol)} (appProtocol), which is not yet carried`;
  return { reason: 'UnsupportedProtocol', text };
}

/** What a port that a Service does not have is to rules. */
export function noOffer(service: Service, port: number): Ref {
  // Only these can be meant. Who goes by the only one (`RefBook.onlyPort`) sees by this text that it is another one now.
  const ports = service.ports.filter(({ protocol }) => protocol === 'TCP');
  const text = `${objectName('Service', service)} has no port ${port}; its ports are ${portList(ports) || 'none'}`;
  return { reason: 'BackendNotFound', text };
}

/** Ports in a text, not more than can be read: `80 (http), 9090`. Empty: there are none. */
export function portList(ports: readonly { readonly port: number; readonly name?: string }[]): string {
  const texts = ports
    .slice(0, LISTED_MAX)
    .map(({ name = '', port }) => (name === '' ? `${port}` : `${port} (${name})`));
  const more = ports.length > LISTED_MAX ? ` and ${ports.length - LISTED_MAX} more` : '';
  return texts.join(', ') + more;
}

/** The Service's owner knows better than a field that others read too. @param isHttp he says that it is HTTP/1.1. */
function isSpoken({ appProtocol }: ServicePort, isHttp: boolean): boolean {
  return isHttp || SPOKEN.has(appProtocol.toLowerCase());
}
