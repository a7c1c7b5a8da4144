import { shown } from '../../../lib/shown.ts';
import type { RouteMatch } from '../../../model/route-resource.ts';
import type { PathMatch } from '../../../model/routing.ts';
import { anchoredRegex } from '../regexes.ts';
import type { Findings } from './findings.ts';

/** A call's path is `/SERVICE/METHOD` (gRPC over HTTP/2, Requests). */
export interface GrpcPath {
  /** Undefined: any, or refused. */
  readonly path: PathMatch | undefined;
  /** Whether it is exact, then characters of service and method (GRPCRouteRule.matches). */
  readonly rank: readonly [exact: number, service: number, method: number];
}

const ANY: GrpcPath = { path: undefined, rank: [0, 0, 0] };
const ANY_NAME = '[^/]+';
const SERVICE = /^\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/;
const METHOD = /^[A-Za-z_]\w*$/;

/** What a GRPCMethodMatch means for the path. Regular expressions come after what is exact: how much they fit is not known. */
export function grpcPath(written: RouteMatch['grpc'], field: string, findings: Findings): GrpcPath {
  if (written === undefined) return ANY;
  const { type, service, method } = written;
  if (service === '' && method === '') {
    findings.refuse(field, { expected: 'a service, a method or both', got: 'neither' });
    return ANY;
  }
  if (type === 'Exact') return exactPath(service, method, field, findings);
  if (type === 'RegularExpression') return regexPath(service, method, field, findings);
  findings.refuse(`${field}.type`, { expected: 'Exact or RegularExpression', got: shown(type) });
  return ANY;
}

function exactPath(service: string, method: string, field: string, findings: Findings): GrpcPath {
  if (service !== '' && !SERVICE.test(service)) {
    findings.refuse(`${field}.service`, { expected: 'the full name of a gRPC service', got: shown(service) });
    return ANY;
  }
  if (method !== '' && !METHOD.test(method)) {
    findings.refuse(`${field}.method`, { expected: 'the name of a gRPC method', got: shown(method) });
    return ANY;
  }
  return { path: exactMatch(service, method), rank: [1, service.length, method.length] };
}

function exactMatch(service: string, method: string): PathMatch {
  if (service === '') return { type: 'regex', value: `^/${ANY_NAME}/${method}$` };
  if (method === '') return { type: 'prefix', value: `/${service}` };
  return { type: 'exact', value: `/${service}/${method}` };
}

function regexPath(service: string, method: string, field: string, findings: Findings): GrpcPath {
  const refusals = findings.refusals.length;
  for (const [name, source] of [['service', service] as const, ['method', method] as const]) {
    const regex = anchoredRegex(source, 'whole');
    if (!('source' in regex)) findings.refuse(`${field}.${name}`, regex);
  }
  if (findings.refusals.length > refusals) return ANY;
  // Both may name a group alike.
  const both = anchoredRegex(`/(?:${service || ANY_NAME})/(?:${method || ANY_NAME})`, 'whole');
  if ('source' in both) {
    return { path: { type: 'regex', value: both.source }, rank: [0, service.length, method.length] };
  }
  findings.refuse(field, both);
  return ANY;
}
