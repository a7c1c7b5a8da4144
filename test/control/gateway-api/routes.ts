/** Routes as discovery hands them on, and a small cluster that they are compiled in. */
import {
  compileGatewayRoutes,
  type GatewayContext,
  type GatewayRoutes,
  type Parent,
} from '../../../src/control/compile/gateway-api.ts';
import type { Asked, Ref, Refs } from '../../../src/control/compile/refs.ts';
import type {
  ObjectRef,
  ParentRef,
  RouteFilter,
  RouteMatch,
  RouteResource,
  RouteRule,
  WeightedRef,
} from '../../../src/model/route-resource.ts';
import type { ParentStatus, RouteCondition, Rule, RuleTable } from '../../../src/model/routing.ts';
import type { BackendId } from '../../../src/model/snapshot.ts';

type Some<T> = Partial<T>;

export function match(parts: Some<RouteMatch> = {}): RouteMatch {
  return { path: undefined, method: '', headers: [], queryParams: [], grpc: undefined, ...parts };
}

export function path(type: string, value: string, parts: Some<RouteMatch> = {}): RouteMatch {
  return match({ path: { type, value }, ...parts });
}

export function header(name: string, value: string, type = 'Exact'): RouteMatch['headers'][number] {
  return { type, name, value };
}

export function filter(type: string, parts: Some<RouteFilter> = {}): RouteFilter {
  return {
    type,
    requestHeaderModifier: undefined,
    responseHeaderModifier: undefined,
    requestMirror: undefined,
    requestRedirect: undefined,
    urlRewrite: undefined,
    cors: undefined,
    ...parts,
  };
}

export function to(name: string, parts: Some<WeightedRef> = {}): WeightedRef {
  return { ...objectRef(name), weight: 1, filters: [], ...parts };
}

export function objectRef(name: string): ObjectRef {
  return { group: '', kind: 'Service', namespace: 'shop', name, port: 80 };
}

export function rule(parts: Some<RouteRule> = {}): RouteRule {
  return {
    name: '',
    matches: [],
    filters: [],
    backendRefs: [to('orders')],
    timeouts: { request: '', backendRequest: '' },
    retry: undefined,
    sessionPersistence: undefined,
    ...parts,
  };
}

export function parent(parts: Some<ParentRef> = {}): ParentRef {
  return { group: '', kind: 'Service', namespace: 'shop', name: 'orders', port: 0, sectionName: '', ...parts };
}

export function route(parts: Some<RouteResource> = {}): RouteResource {
  return {
    kind: 'HTTPRoute',
    namespace: 'shop',
    name: 'orders',
    created: '',
    generation: 1,
    parentRefs: [parent()],
    hostnames: [],
    rules: [rule()],
    ...parts,
  };
}

const ORDERS: Parent = {
  namespace: 'shop',
  name: 'orders',
  ports: [
    { port: 80, name: 'http' },
    { port: 81, name: 'admin' },
  ],
};

/** `shop/orders` is in the mesh; any Service whose name does not begin with `gone` has a backend for any port. */
export class Cluster implements GatewayContext {
  parents = new Map([['shop/orders', ORDERS]]);
  gone: readonly string[] = [];
  compiled = 0;

  readonly parentOf = (namespace: string, name: string): Parent | undefined => this.parents.get(`${namespace}/${name}`);

  readonly asking = (): Refs & { readonly asked: readonly Asked[] } => {
    this.compiled++;
    const asked: Asked[] = [];
    const ask = (kind: Asked['kind'], namespace: string, name: string, port: number): Ref => {
      const answer = this.#answer(kind, namespace, name, port);
      asked.push({ kind, namespace, name, port, answer });
      return answer;
    };
    return {
      asked,
      service: (namespace: string, name: string, port: number): Ref => ask('Service', namespace, name, port),
      subject: (namespace: string, subject: string): Ref => ask('Subject', namespace, subject, 0),
    };
  };

  readonly holds = (asked: readonly Asked[]): boolean =>
    asked.every(
      ({ kind, namespace, name, port, answer }) =>
        JSON.stringify(this.#answer(kind, namespace, name, port)) === JSON.stringify(answer),
    );

  #answer(kind: Asked['kind'], namespace: string, name: string, port: number): Ref {
    if (name.startsWith('gone') || this.gone.includes(name)) {
      return { reason: 'BackendNotFound', text: `There is no ${kind} ${namespace}/${name}` };
    }
    return { backend: (kind === 'Service' ? `${namespace}/${name}:${port}` : `${namespace}/${name}`) as BackendId };
  }
}

export function compiled(
  routes: readonly RouteResource[],
  context: Cluster = new Cluster(),
  before?: GatewayRoutes,
): GatewayRoutes {
  const of = (kind: RouteResource['kind']) => routes.filter((one) => one.kind === kind);
  return compileGatewayRoutes({ httpRoutes: of('HTTPRoute'), grpcRoutes: of('GRPCRoute') }, context, before);
}

/** For all clients of a port of Service shop/orders. */
export function tableOf(routes: GatewayRoutes, port = 80): RuleTable | undefined {
  return routes.tables.get('shop/orders')?.get(port)?.all;
}

/** The first rule of what these rules compile to. */
export function onlyRule(parts: Some<RouteRule>, kind: RouteResource['kind'] = 'HTTPRoute'): Rule | undefined {
  return tableOf(compiled([route({ kind, rules: [rule(parts)] })]))?.rules[0];
}

/** Each problem as `field: expected, got`. */
export function problemsOf(routes: GatewayRoutes): readonly string[] {
  return routes.problems
    .flat()
    .map(({ object, field, expected, got }) => `${object}: ${field}: ${expected}, got ${got}`);
}

export function statusOf(routes: GatewayRoutes, object = 'HTTPRoute shop/orders', index = 0): ParentStatus | undefined {
  return routes.statuses.find((status) => status.object === object)?.parents[index];
}

/** `Accepted=true Accepted, ResolvedRefs=…` */
export function conditions(routes: GatewayRoutes, object?: string, index?: number): string {
  const text = ({ type, status, reason }: RouteCondition) => `${type}=${status} ${reason}`;
  return statusOf(routes, object, index)?.conditions.map(text).join(', ') ?? 'none';
}

export const FINE = 'Accepted=true Accepted, ResolvedRefs=true ResolvedRefs';
