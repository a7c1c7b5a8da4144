import { NO_TIMEOUTS, type RateLimitPolicy, type RetryWishes, type TimeoutWishes } from './resilience.ts';
import type { BackendId } from './snapshot.ts';

/**
 * What decides about the requests to one port of a Service: one model for annotations, SMI and Gateway API. Plain data that is
 * checked: names and values are well-formed, regular expressions are linear (lib/linear-regexp.ts), shares are from 0 to 1.
 */
export interface Routing {
  /** The backend of the port: each has at most one routing. */
  readonly id: BackendId;
  /** Undefined: its owner wants nothing special. */
  readonly policy: FrontendPolicy | undefined;
  /** By namespace of the client, in place of `all`: consumer routes (GEP-1426). */
  readonly consumers: Readonly<Record<string, RuleTable>>;
  /** Undefined: without a rule everything goes to the port's own backend. */
  readonly all: RuleTable | undefined;
}

/** Rules of one kind of source: sources are not merged. */
export interface RuleTable {
  /** `grpc`: of a GRPCRoute. It is not carried yet, and answered so. */
  readonly protocol: 'http' | 'grpc';
  readonly rules: readonly Rule[];
  /** By precedence: the first that fits decides. */
  readonly entries: readonly Entry[];
  /** A request that none fits goes to the port's own backend, or nowhere (GEP-1686). */
  readonly unmatched: 'forward' | 'refuse';
}

/** One match of a rule. */
export interface Entry {
  readonly match: Match;
  /** Index of `rules`. */
  readonly rule: number;
  /** Of the object of the rule: `spec.rules[0].matches[1]`. */
  readonly field: string;
}

/** All of it must fit. */
export interface Match {
  readonly path: PathMatch | undefined;
  /** Case-sensitive; one must fit, if there are any. */
  readonly methods: readonly string[];
  readonly fields: readonly FieldMatch[];
}

export interface PathMatch {
  /** `prefix` goes by whole elements. What is matched ends at the query, and nothing of it is decoded. */
  readonly type: 'exact' | 'prefix' | 'regex';
  /** Of a prefix without a slash at its end, so that of `/` is empty; a regex has its anchors. */
  readonly value: string;
}

export interface FieldMatch {
  readonly of: 'header' | 'query' | 'cookie';
  /** Of a header lower-case; others are case-sensitive. */
  readonly name: string;
  readonly type: 'exact' | 'regex';
  readonly value: string;
}

/** What becomes of the requests that it fits. Its deeds, in order: CORS, redirect, mirrors, target. */
export interface Rule {
  readonly source: RuleSource;
  readonly cors: CorsPolicy | undefined;
  /** In place of targets. */
  readonly redirect: Redirect | undefined;
  readonly mirrors: readonly Mirror[];
  /** Nothing may be left of their weights: then requests fail, with 500. */
  readonly targets: readonly Target[];
  /** Of what the mesh answers by itself under this rule; targets have their own. */
  readonly response: HeaderEdits | undefined;
  /** Undefined: as the backend says. */
  readonly session: SessionPolicy | undefined;
  readonly timeouts: TimeoutWishes;
  readonly retry: RetryWishes | undefined;
}

/** Of a rule that does nothing, and has no targets yet. */
export const NO_DEEDS: Omit<Rule, 'source'> = {
  cors: undefined,
  redirect: undefined,
  mirrors: [],
  targets: [],
  response: undefined,
  session: undefined,
  timeouts: NO_TIMEOUTS,
  retry: undefined,
};

/** Who made a rule, for those who ask why. */
export interface RuleSource {
  /** `HTTPRoute shop/orders`, `Service shop/orders` */
  readonly object: string;
  /** `spec.rules[0]`, `metadata.annotations["heddle.dev/split"]` */
  readonly field: string;
  /** Of the rule; empty: it has none. */
  readonly name: string;
  /** Where it is written; files only know it. */
  readonly origin?: { readonly file: string; readonly line: number };
}

export interface Target {
  /** `spec.rules[0].backendRefs[1]` */
  readonly field: string;
  /** As a person calls it: `Service shop/orders-v2:80`, `Subject orders.created`. */
  readonly name: string;
  /** Undefined: it leads nowhere, and its share fails with 500. */
  readonly backend: BackendId | undefined;
  /** Why it leads nowhere; else empty. */
  readonly reason: string;
  /** Its share is this among the sum of all. */
  readonly weight: number;
  /** Those of the rule and of the target, as one. */
  readonly request: RequestEdits | undefined;
  readonly response: HeaderEdits | undefined;
}

/** A copy of requests, whose answer nobody reads. */
export interface Mirror {
  readonly field: string;
  readonly name: string;
  /** Undefined: it leads nowhere, and nothing is copied. */
  readonly backend: BackendId | undefined;
  readonly reason: string;
  /** Of the requests, from 0 to 1. */
  readonly share: number;
  /** Those edits of the rule that stand before it. */
  readonly request: RequestEdits | undefined;
}

/** Lines that come with these names do not go on; then these lines are added, in order. Names are lower-case. */
export interface HeaderEdits {
  readonly drop: readonly string[];
  readonly lines: readonly (readonly [name: string, value: string])[];
}

export interface RequestEdits extends HeaderEdits {
  /** In place of Host; empty: it stays. */
  readonly host: string;
  readonly path: PathEdit | undefined;
}

/** The query stays as it is. */
export interface PathEdit {
  /** `path`: all of it. `prefix`: the given prefix of it, where it has that. */
  readonly replace: 'path' | 'prefix';
  /** As in `PathMatch`; undefined: that of the match. */
  readonly prefix: string | undefined;
  readonly by: string;
}

/** What is empty or 0 is as in the request. */
export interface Redirect {
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: '' | 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly path: PathEdit | undefined;
}

/** Fetch standard, CORS protocol. A `*` alone means any. */
export interface CorsPolicy {
  /** `https://shop.example`, `https://*.shop.example`, `*` */
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposed: readonly string[];
  readonly maxAgeS: number;
  readonly credentials: boolean;
}

/** The first request of a session gets a token, with which others find the same target and endpoint, on every node. */
export interface SessionPolicy {
  readonly by: 'cookie' | 'header';
  /** Of a header lower-case. */
  readonly name: string;
  /** Of a cookie. */
  readonly path: string;
  /** From its first request on; undefined: without end. */
  readonly lifetimeS: number | undefined;
  /** The cookie outlives the browser, for its lifetime. */
  readonly permanent: boolean;
}

/** What the owner of a Service wants of the requests to it, whoever routes them. */
export interface FrontendPolicy {
  /** Each has its own dice. */
  readonly faults: readonly Fault[];
  /** Clients may ask for faults by x-heddle-fault. */
  readonly faultOnHeader: boolean;
  /** Clients may ask for the decision by x-heddle-explain. */
  readonly explainOnHeader: boolean;
  /** As the setting of that name; undefined: as it says. */
  readonly accessLog: 'off' | 'errors' | number | undefined;
  /** Share of the exchanges whose caller has not decided, from 0 to 1. Undefined: as the setting says. */
  readonly traceSample: number | undefined;
  /** Where a rule says nothing of it. */
  readonly timeouts: TimeoutWishes;
  readonly retry: RetryWishes | undefined;
  /** Undefined: any number of requests. */
  readonly rateLimit: RateLimitPolicy | undefined;
}

/** Its owner wants nothing special. */
export const NO_POLICY: FrontendPolicy = {
  faults: [],
  faultOnHeader: false,
  explainOnHeader: false,
  accessLog: undefined,
  traceSample: undefined,
  timeouts: NO_TIMEOUTS,
  retry: undefined,
  rateLimit: undefined,
};

/** @property share of the requests, from 0 to 1. */
export type Fault =
  | { readonly type: 'abort'; readonly status: number; readonly share: number }
  /** A time between these, each as likely. */
  | { readonly type: 'delay'; readonly leastMs: number; readonly mostMs: number; readonly share: number }
  /** Of the reply's body. */
  | { readonly type: 'throttle'; readonly bytesPerS: number; readonly share: number };

/** What may be asked for, over all kinds of sources. */
export const ROUTING_LIMITS = {
  /** Of one port, over all routes for the clients of one namespace; of a Service with many ports less. */
  entries: 10_000,
  /** The same of all regular expressions: the sum of their widths (lib/linear-regexp.ts). */
  regexWidth: 2048,
  regexChars: 1024,
  /** Of what they look at: what is longer fits none. A request costs all of them together 0.1 s at most. */
  regexTextChars: 2048,
  /** Of one rule. */
  targets: 16,
  mirrors: 16,
  weight: 1_000_000,
} as const;

/** What a Gateway API route is to each of its parents, as its status says it (GEP-1364). */
export interface RouteStatus {
  /** `HTTPRoute shop/orders` */
  readonly object: string;
  /** Of the object: observedGeneration; 0: unknown. */
  readonly generation: number;
  /** Parents that are ours, in order: others are nobody's business here. */
  readonly parents: readonly ParentStatus[];
}

export interface ParentStatus {
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  /** 0: all. */
  readonly port: number;
  readonly sectionName: string;
  readonly conditions: readonly RouteCondition[];
}

export interface RouteCondition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'PartiallyInvalid';
  readonly status: boolean;
  readonly reason:
    | 'Accepted'
    | 'NoMatchingParent'
    | 'UnsupportedValue'
    | 'IncompatibleFilters'
    | 'Conflicted'
    | 'ResolvedRefs'
    | 'RefNotPermitted'
    | 'InvalidKind'
    | 'BackendNotFound'
    | 'UnsupportedProtocol'
    | 'Pending';
  readonly message: string;
}
