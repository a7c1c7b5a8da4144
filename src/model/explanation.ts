import type { EffectiveSetting, EndpointView, LoadView } from './admin.ts';
import type { FailureCode } from './failure.ts';
import type { ProblemView } from './problem.ts';
import type { StatusView } from './route-status.ts';

/** What somebody asks: what happens to this request, and why? It comes from outside, and a parser of HTTP has to read it first. */
export interface ExplainQuestion {
  readonly method: string;
  /** `http://orders.shop/cart?x=1` */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Who sends it: `namespace/serviceaccount`, or an address; empty: somebody of whom nothing is known. */
  readonly as: string;
  /** What the dice say each time, from 0 to below 1; null: as `seed` says. */
  readonly roll: number | null;
  /** Dice with the same seed say the same; null: chance. */
  readonly seed: number | null;
}

/** What a question may be; what is longer is not asked. */
export const EXPLAIN_LIMITS = {
  /** Of method, URL and headers together. */
  chars: 128 * 1024,
  headers: 1000,
  /** Of the dice: 32 bits. */
  seed: 2 ** 32 - 1,
  /** Entries that are told with what they did not fit. */
  tried: 100,
  /** Of a rule table, those that are named. */
  objects: 10,
  endpoints: 100,
  problems: 100,
} as const;

/** Beside the steps: what is known of them where it is asked. `GET /explain` and `heddle explain -o json`. */
export interface ExplainAnswer {
  readonly explanation: Explanation;
  /** Of the backend, used or not; at most 100. */
  readonly endpoints: readonly EndpointView[];
  /** How many of them are left out. */
  readonly endpointsLeft: number;
  /** How full the limits of the backend are; null: it is not known here, or it goes to none. */
  readonly load: LoadView | null;
  /** Those that name the Service, the objects of its rules, or a target of the rule. */
  readonly problems: readonly ProblemView[];
  /** Of routes that name the Service, an object of its rules or a target, or are one of these. */
  readonly statuses: readonly StatusView[];
  /** Limits of the node. */
  readonly settings: readonly EffectiveSetting[];
}

/** What a plan decides about one request, step by step. Plain JSON; null and empty: the request did not come so far. */
export interface Explanation {
  /** Of the plan. */
  readonly generation: number;
  readonly method: string;
  readonly url: string;
  readonly client: ClientStep;
  readonly outcome: Outcome;
  readonly service: ServiceStep | null;
  readonly rules: RulesStep | null;
  readonly rule: RuleStep | null;
  readonly faults: FaultsStep | null;
  readonly session: SessionStep | null;
  readonly targets: readonly TargetStep[];
  /** What the dice said about the targets; null: they were not asked. */
  readonly roll: number | null;
  readonly mirrors: readonly MirrorStep[];
  /** Timeouts and retries. Empty: it goes to no backend. */
  readonly terms: readonly TermView[];
  readonly rateLimit: RateLimitStep | null;
  readonly backend: BackendStep | null;
  /** Lines of the head that an endpoint gets, with all edits; lines that each request has of its own are left out. */
  readonly sent: readonly string[];
  /** What becomes of the reply's lines. */
  readonly reply: HeaderEditsView;
}

export interface ClientStep {
  readonly address: string;
  /** Empty: unknown. */
  readonly namespace: string;
  readonly serviceAccount: string;
  /** `shop/web-1`; empty: no pod of this node is known to be it. */
  readonly pod: string;
}

export interface Outcome {
  /** `answer`: by the mesh itself, as somebody wished. */
  readonly does: 'forward' | 'answer' | 'fail';
  /** 0: an endpoint says it. */
  readonly status: number;
  /** Empty: it does not fail. */
  readonly failure: FailureCode | '';
  /** What happens, for a person. */
  readonly text: string;
}

export interface ServiceStep {
  readonly by: 'listener' | 'authority' | 'bare-name' | 'path' | 'header';
  readonly namespace: string;
  readonly name: string;
  readonly enabled: boolean;
  /** 0: none was found. */
  readonly port: number;
  readonly portName: string;
}

/** Whose rules count, and which entries were tried. */
export interface RulesStep {
  /** Of the clients that they are for; empty: all. */
  readonly consumers: string;
  readonly protocol: 'http' | 'grpc';
  readonly unmatched: 'forward' | 'refuse';
  /** Whose rules they are; at most 10. */
  readonly objects: readonly string[];
  readonly entries: number;
  /** Of the entry that fits, by precedence from 0; -1: none does. */
  readonly fits: number;
  /** Those before it that did not fit; where there are more than 100, those come first that failed late. In order. */
  readonly tried: readonly TriedEntry[];
  readonly triedLeft: number;
}

export interface TriedEntry {
  readonly object: string;
  readonly field: string;
  /** `path prefix /cart, header x-user exact 7` */
  readonly match: string;
  /** The first part that does not fit. */
  readonly part: string;
  readonly expected: string;
  readonly got: string;
}

/** The rule that decides, and the match that led to it. */
export interface RuleStep {
  readonly object: string;
  readonly field: string;
  readonly name: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly matchField: string;
  readonly match: string;
  /** Origins that may; empty: it says nothing about them. */
  readonly cors: readonly string[];
  /** `302 to https://shop.example`; empty: none. */
  readonly redirect: string;
}

/** Something that holds for the request, called and written as by an annotation (without its prefix). */
export interface TermView {
  readonly name: string;
  /** `off` where there is no limit. */
  readonly value: string;
  /** Whose wish it is: `HTTPRoute shop/orders spec.rules[0]`, `Service shop/orders`, `x-heddle-timeout-ms`, `settings`, `default`. */
  readonly by: string;
}

/** The rate limit that the request comes under. */
export interface RateLimitStep {
  /** `10/s, burst 20, per source` */
  readonly policy: string;
  /** Whose wish it is. */
  readonly by: string;
  /** Requests that may still come at once with this one's key; null: it is not known here. */
  readonly left: number | null;
  /** Until one more than these may come, in milliseconds. */
  readonly nextMs: number;
  /** It has no bucket of its own: there are too many keys. */
  readonly shared: boolean;
}

export interface FaultsStep {
  /** Who asked for what happens. */
  readonly by: 'nobody' | 'policy' | 'client';
  /** What the Service's owner wants, `abort 503`, and the share of the requests, from 0 to 1. */
  readonly wished: readonly { readonly text: string; readonly share: number }[];
  /** What happens to this request; 0: nothing. */
  readonly abortStatus: number;
  readonly delayMs: number;
  readonly throttleBytesPerS: number;
  /** Why x-heddle-fault of the client is not heeded; empty: it is, or there is none. */
  readonly unheeded: string;
}

export interface SessionStep {
  readonly by: 'cookie' | 'header';
  readonly name: string;
  /** The request brought a token that holds. */
  readonly known: boolean;
}

export interface TargetStep {
  readonly field: string;
  readonly name: string;
  readonly weight: number;
  /** From 0 to 1. */
  readonly share: number;
  readonly chosen: boolean;
  /** Why it leads nowhere; else empty. */
  readonly reason: string;
}

export interface MirrorStep {
  readonly field: string;
  readonly name: string;
  /** Of the requests, from 0 to 1. */
  readonly share: number;
  /** It gets a copy of this one. */
  readonly copied: boolean;
  /** Why it leads nowhere; else empty. */
  readonly reason: string;
}

export interface BackendStep {
  /** `shop/orders:80` */
  readonly id: string;
  /** Subject that serves it in place of endpoints; empty: endpoints do. */
  readonly subject: string;
  /** Those that may get traffic now. */
  readonly endpoints: number;
  /** Of these, those that are tried first. */
  readonly preferred: number;
  /** In force there. */
  readonly policy: readonly TermView[];
  /** What the request's hash means, where the endpoint follows from one; null: it does not. */
  readonly hash: HashStep | null;
}

export interface HashStep {
  /** `header:x-user`, `source` */
  readonly on: string;
  /** `10.1.2.3:8080`; empty: it is not known here. */
  readonly endpoint: string;
}

export interface HeaderEditsView {
  readonly drop: readonly string[];
  readonly lines: readonly string[];
}

/** Settings that every request meets; others are told as terms. */
export const EXPLAIN_SETTINGS: ReadonlySet<string> = new Set([
  'limit-upstream-connections',
  'limit-pending',
  'limit-mirrors',
  'limit-heap',
  'limit-loop-delay',
]);

/** What of all that is known concerns the request. */
export function concerning<T>(
  { service, rules, rule, targets }: Explanation,
  items: readonly T[],
  textsOf: (item: T) => readonly string[],
): readonly T[] {
  const names = [
    ...(service === null ? [] : [`${service.namespace}/${service.name}`]),
    ...[...(rules?.objects ?? []), ...(rule === null ? [] : [rule.object])].map((object) =>
      object.slice(object.indexOf(' ') + 1),
    ),
    ...targets.map(({ name }) => name.slice(name.indexOf(' ') + 1).replace(/:\d+$/, '')),
  ];
  const isNamed = (text: string): boolean => names.some((name) => mentions(text, name));
  return items.filter((item) => textsOf(item).some(isNamed)).slice(0, EXPLAIN_LIMITS.problems);
}

/** As a whole: `shop/orders` is not in `shop/orders-v2`. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const [before = '', after = ''] = [text[at - 1], text[at + name.length]];
    if (!/[\w.-]/.test(before) && !/[\w-]/.test(after)) return true;
  }
  return false;
}
