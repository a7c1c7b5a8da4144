import { portOf, usualPortOf } from '../../model/ports.ts';
import {
  BRIDGE_AUTHORITY,
  BRIDGE_BACKEND,
  type Frontend,
  type FrontendPort,
  type Workload,
} from '../../model/snapshot.ts';
import { ASTERISK, FIELD, FORM, type Head, METHOD, PATH_AS_IT_IS, SLASH, type Source } from '../http.ts';
import type { FrontendTable } from '../route.ts';
import type { Decision } from './decision.ts';

/** What names are looked up in. */
export interface Names {
  readonly frontends: FrontendTable;
  /** By address. */
  readonly workloads: ReadonlyMap<string, Workload>;
}

/** Who asks, as far as it makes a difference. */
export type Asker = Pick<Source, 'address' | 'trusted' | 'listener' | 'listenerPort'>;

const SERVICE_PATH = Buffer.from('/_svc/');
const SERVICE_PATH_NAMES = /^\/_svc\/([^/?]+)\/([^/?:]+)(?::([^/?]+))?(?=$|[/?])/;
const SERVICE_HEADER = /^([^/:\s]+)\/([^/:\s]+)(?::([^/:\s]+))?$/;
const QUESTION = 63;
/** Of ports, in a reply. */
const LISTED_MAX = 10;

/**
 * Which Service a request means, and which port of it: the one that the authority names; else the one of the path
 * `/_svc/namespace/name[:port]/…`; else the one of the field `x-heddle-service`. A bare name means the Service of the client's own
 * namespace, as it does in DNS. In an authority, the port that the request reached us on says nothing about the Service's port.
 */
export function nameFrontend(head: Head, names: Names, source: Asker, decision: Decision): void {
  const { frontends } = names;
  takePath(head, decision);
  if (source.listener === 'bridge') {
    toBridge(head, decision, 'listener');
    return;
  }
  let frontend = frontends.byAuthority(head);
  if (frontend === undefined) {
    frontend = byBareName(head, names, source);
    if (frontend !== undefined) decision.by = 'bare-name';
  }
  if (frontend !== undefined) {
    const { port } = head.authority;
    choosePort(decision, frontend, port > 0 ? String(port) : '', source.listenerPort);
  } else if (head.form === FORM.authority) decision.fail('connect-forbidden', unknownAuthority(head, names, source));
  else if (isBridge(head)) toBridge(head, decision, 'authority');
  else if (!bySomethingElse(head, frontends, decision))
    decision.fail('no-route', unknownAuthority(head, names, source));
  if (decision.failure !== undefined && head.form === FORM.authority) decision.failure = 'connect-forbidden';
}

/** Its own address, or its authority, which is no Service's. */
function toBridge(head: Head, decision: Decision, by: 'listener' | 'authority'): void {
  decision.by = by;
  if (head.form === FORM.authority) decision.fail('connect-forbidden', 'The bridge is nothing to connect to');
  else decision.backend = BRIDGE_BACKEND.id;
}

/** The Service of this name in the namespace of the workload that asks. Only requests that no other name explains come here. */
function byBareName(head: Head, { frontends, workloads }: Names, { address }: Asker): Frontend | undefined {
  if (!isBare(head)) return undefined;
  const workload = workloads.get(address);
  return workload === undefined ? undefined : frontends.byName(workload.namespace, hostOf(head).toLowerCase());
}

function isBare({ authority: { hostStart, hostEnd, dotted, ipv6 } }: Head): boolean {
  return !dotted && !ipv6 && hostStart < hostEnd;
}

function hostOf(head: Head): string {
  return head.text(head.authority.hostStart, head.authority.hostEnd);
}

/** RFC 9112 section 3.2.2: an absolute form goes on as path and query; without a path that is `/`, or `*` for OPTIONS. */
function takePath(head: Head, decision: Decision): void {
  decision.pathStart = head.pathStart;
  decision.pathPrefix = PATH_AS_IT_IS;
  if (head.form !== FORM.absolute) return;
  if (head.pathStart === head.targetEnd) decision.pathPrefix = head.method === METHOD.options ? ASTERISK : SLASH;
  else if (head.bytes[head.base + head.pathStart] === QUESTION) decision.pathPrefix = SLASH;
}

/** Path, then field. False: neither names a Service. */
function bySomethingElse(head: Head, frontends: FrontendTable, decision: Decision): boolean {
  if (head.targetEnd - head.pathStart > SERVICE_PATH.length && startsWith(head, SERVICE_PATH))
    return byPath(head, frontends, decision);
  if (head.find(FIELD.heddleService) < 0) return false;
  const value = head.values(FIELD.heddleService);
  const names = SERVICE_HEADER.exec(value);
  if (names === null)
    decision.fail('no-route', `x-heddle-service must be namespace/name or namespace/name:port, got ${value}`);
  else byName(names, frontends, 'header', decision);
  return true;
}

function byPath(head: Head, frontends: FrontendTable, decision: Decision): boolean {
  const names = SERVICE_PATH_NAMES.exec(head.text(head.pathStart, head.targetEnd));
  if (names === null) {
    decision.fail('no-route', 'A path under /_svc must go on with namespace/name or namespace/name:port');
    return true;
  }
  byName(names, frontends, 'path', decision);
  decision.pathStart = head.pathStart + names[0].length;
  decision.pathPrefix =
    decision.pathStart === head.targetEnd || head.bytes[head.base + decision.pathStart] === QUESTION
      ? SLASH
      : PATH_AS_IT_IS;
  return true;
}

function byName(
  [, namespace = '', name = '', port = '']: RegExpExecArray,
  frontends: FrontendTable,
  by: 'path' | 'header',
  decision: Decision,
): void {
  const frontend = frontends.byName(namespace.toLowerCase(), name.toLowerCase());
  decision.by = by;
  if (frontend === undefined) decision.fail('no-route', `There is no Service ${name} in namespace ${namespace}`);
  else choosePort(decision, frontend, port, 0);
}

/** The port that was asked for; none, or the listener's own that the Service does not have, means 80, else the only one. */
function choosePort(decision: Decision, frontend: Frontend, asked: string, listenerPort: number): void {
  const { name, namespace, ports, enabled } = frontend;
  decision.frontend = frontend;
  if (!enabled) {
    decision.fail(
      'not-enabled',
      `Service ${name} in namespace ${namespace} exists but is not enabled: annotate it with heddle.dev/enabled: "true", or its Namespace`,
    );
    return;
  }
  let port = portOf(ports, asked);
  if (port === undefined && (asked === '' || asked === String(listenerPort))) port = usualPortOf(ports);
  decision.port = port;
  decision.backend = port?.backend;
  if (port === undefined) decision.fail('no-port', noPort(frontend, asked));
}

function noPort({ name, namespace, ports }: Frontend, asked: string): string {
  const wanted = asked === '' ? 'no port 80 and several others, so name one' : `no port ${asked}`;
  const list = ports.length === 0 ? 'none' : listed(ports, ', ', portText);
  return `Service ${name} in namespace ${namespace} has ${wanted}; its ports are ${list}`;
}

/** `80`, `80 (http)`, `80 (http, at its endpoints 8080 or 8081)` */
function portText({ port, name, targetPorts }: FrontendPort): string {
  const more = [name, targetPorts.length === 0 ? '' : `at its endpoints ${listed(targetPorts, ' or ', String)}`];
  const text = more.filter((part) => part !== '').join(', ');
  return text === '' ? `${port}` : `${port} (${text})`;
}

function listed<T>(items: readonly T[], separator: string, textOf: (item: T) => string): string {
  const texts = items.slice(0, LISTED_MAX).map(textOf).join(separator);
  return items.length > LISTED_MAX ? `${texts} and ${items.length - LISTED_MAX} more` : texts;
}

function isBridge(head: Head): boolean {
  const { hostStart, hostEnd } = head.authority;
  return hostEnd - hostStart === BRIDGE_AUTHORITY.length && hostOf(head).toLowerCase() === BRIDGE_AUTHORITY;
}

function unknownAuthority(head: Head, { workloads }: Names, { address }: Asker): string {
  const host = hostOf(head);
  if (host === '')
    return 'The request names no Service: it has no authority, and neither its path nor x-heddle-service does';
  if (!isBare(head))
    return `The authority ${host} is no Service that is known here: it must be name.namespace, name.namespace.svc or a ClusterIP`;
  if (workloads.size === 0)
    return `The bare name ${host} needs the client's namespace, which is known on Kubernetes only: use ${host}.<namespace>`;
  const workload = workloads.get(address);
  return workload === undefined
    ? `The bare name ${host} needs the client's namespace, and its address ${address} is no pod of this node that is known: use ${host}.<namespace>`
    : `There is no Service ${host} in namespace ${workload.namespace}, which is the client's: for another one use ${host}.<namespace>`;
}

function startsWith(head: Head, prefix: Buffer): boolean {
  const start = head.base + head.pathStart;
  return head.bytes.compare(prefix, 0, prefix.length, start, start + prefix.length) === 0;
}
