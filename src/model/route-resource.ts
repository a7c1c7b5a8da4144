import type { Resource } from './resource.ts';

// Routes as they are written, all versions of a kind alike: discovery has checked shapes and lengths, compile judges what values
// mean, so that a value of a newer version costs what the specification says, and no more. Absent text is empty, absent numbers
// are 0 where nothing else is said. An absent object has no field: so it is in the snapshot file too, which is JSON.

/** gateway.networking.k8s.io HTTPRoute or GRPCRoute. */
export interface RouteResource extends Resource {
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  /** creationTimestamp, RFC 3339; empty in manifests. */
  readonly created: string;
  readonly generation: number;
  readonly parentRefs: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly RouteRule[];
}

/** Defaults are filled in: group gateway.networking.k8s.io, kind Gateway, the namespace of the route. */
export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly sectionName: string;
}

export interface RouteRule {
  readonly name: string;
  /** Without one it matches everything. */
  readonly matches: readonly RouteMatch[];
  readonly filters: readonly RouteFilter[];
  readonly backendRefs: readonly WeightedRef[];
  /** Durations (GEP-2257). */
  readonly timeouts: { readonly request: string; readonly backendRequest: string };
  readonly retry?:
    | { readonly attempts?: number | undefined; readonly codes: readonly number[]; readonly backoff: string }
    | undefined;
  readonly sessionPersistence?: SessionPersistence | undefined;
}

export interface RouteMatch {
  /** Of an HTTPRoute. */
  readonly path?: { readonly type: string; readonly value: string } | undefined;
  readonly method: string;
  readonly headers: readonly ValueMatch[];
  readonly queryParams: readonly ValueMatch[];
  /** Of a GRPCRoute. */
  readonly grpc?: { readonly type: string; readonly service: string; readonly method: string } | undefined;
}

export interface ValueMatch {
  /** `Exact` where it is absent. */
  readonly type: string;
  readonly name: string;
  readonly value: string;
}

/** `type` says which of the others is meant. */
export interface RouteFilter {
  readonly type: string;
  readonly requestHeaderModifier?: HeaderModifier | undefined;
  readonly responseHeaderModifier?: HeaderModifier | undefined;
  readonly requestMirror?: MirrorFilter | undefined;
  readonly requestRedirect?: RedirectFilter | undefined;
  readonly urlRewrite?: { readonly hostname: string; readonly path?: PathModifier | undefined } | undefined;
  readonly cors?: CorsFilter | undefined;
}

export interface HeaderModifier {
  readonly set: readonly { readonly name: string; readonly value: string }[];
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly remove: readonly string[];
}

/** Without percent and fraction: all. */
export interface MirrorFilter {
  readonly backendRef: ObjectRef;
  readonly percent?: number | undefined;
  readonly fraction?: { readonly numerator: number; readonly denominator: number } | undefined;
}

export interface RedirectFilter {
  readonly scheme: string;
  readonly hostname: string;
  readonly path?: PathModifier | undefined;
  readonly port: number;
  /** 302 where it is absent. */
  readonly statusCode: number;
}

export interface PathModifier {
  readonly type: string;
  /** Undefined: absent. */
  readonly replaceFullPath?: string | undefined;
  readonly replacePrefixMatch?: string | undefined;
}

export interface CorsFilter {
  readonly allowOrigins: readonly string[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly allowCredentials: boolean;
  /** Seconds; 5 where it is absent. */
  readonly maxAge: number;
}

/** Defaults are filled in: the group without a name, kind Service, the namespace of the route. */
export interface ObjectRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

export interface WeightedRef extends ObjectRef {
  /** 1 where it is absent. */
  readonly weight: number;
  readonly filters: readonly RouteFilter[];
}

/** Both shapes that GEP-1619 has had, as one. */
export interface SessionPersistence {
  /** `Cookie` where it is absent. */
  readonly type: string;
  /** Of the cookie or the header; empty: ours to choose. */
  readonly name: string;
  readonly absoluteTimeout: string;
  /** `Session` where it is absent. */
  readonly lifetimeType: string;
  /** Of the cookie. */
  readonly path: string;
}

/** gateway.networking.k8s.io ReferenceGrant, in the namespace of what is referred to. */
export interface ReferenceGrantResource extends Resource {
  readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
  /** Without a name: all of the kind. */
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string }[];
}

/** split.smi-spec.io TrafficSplit, v1alpha1 to v1alpha4. */
export interface TrafficSplitResource extends Resource {
  readonly created: string;
  /** Root Service: a name or a longer DNS name. */
  readonly service: string;
  readonly matches: readonly { readonly kind: string; readonly name: string }[];
  /** Weights are relative; what v1alpha1 has as quantities ("900m") are numbers here. */
  readonly backends: readonly { readonly service: string; readonly weight: number }[];
}

/** specs.smi-spec.io HTTPRouteGroup, v1alpha1 to v1alpha4. */
export interface HttpRouteGroupResource extends Resource {
  /** Path of the matches: until v1alpha2 they stand at the top. */
  readonly field: 'spec.matches' | 'matches';
  readonly matches: readonly {
    readonly name: string;
    readonly pathRegex: string;
    readonly methods: readonly string[];
    /** Name to regular expression. */
    readonly headers: Readonly<Record<string, string>>;
  }[];
}
