import { shown } from '../../../lib/shown.ts';
import type { HeaderModifier, MirrorFilter, RouteFilter } from '../../../model/route-resource.ts';
import {
  type CorsPolicy,
  type HeaderEdits,
  type Mirror,
  type Redirect,
  type RequestEdits,
  ROUTING_LIMITS,
} from '../../../model/routing.ts';
import { editsAfter, editsOf, headerRefusal, type HeaderWish, requestEditsAfter } from '../header-rules.ts';
import { hostRefusal } from '../path-rules.ts';
import { corsOf } from './cors.ts';
import type { Findings } from './findings.ts';
import type { RankedMatch } from './matches.ts';
import { pathEditOf, redirectOf } from './redirect.ts';
import { destinationOf, type Reading } from './targets.ts';

/** What the filters of a rule or of a backendRef come to. */
export interface Filters {
  readonly request: RequestEdits | undefined;
  readonly response: HeaderEdits | undefined;
  readonly cors: CorsPolicy | undefined;
  readonly redirect: Redirect | undefined;
  readonly mirrors: readonly Mirror[];
  /**
   * An ExtensionRef: what it would do is not known, so that its requests must fail ("the filter MUST NOT be skipped",
   * HTTPRouteFilter.type).
   */
  readonly failsBy: string | undefined;
}

export interface FiltersPosition {
  /** `spec.rules[0].filters` */
  readonly at: string;
  readonly of: 'rule' | 'backendRef';
  readonly matches: readonly RankedMatch[];
}

/** What we have in each position; the others cost what the API says of unknown values. */
const KNOWN: Readonly<Record<'HTTPRoute' | 'GRPCRoute', Readonly<Record<FiltersPosition['of'], readonly string[]>>>> = {
  HTTPRoute: {
    rule: ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'RequestRedirect', 'URLRewrite', 'CORS'],
    backendRef: ['RequestHeaderModifier', 'ResponseHeaderModifier', 'URLRewrite'],
  },
  GRPCRoute: {
    rule: ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror'],
    backendRef: ['RequestHeaderModifier', 'ResponseHeaderModifier'],
  },
};

/** Where a filter of this type says what it does: `requestMirror`, `urlRewrite`, `cors`. */
function memberOf(type: string): string {
  return type.replace(/^[A-Z]+(?=[A-Z][a-z]|$)|^[A-Z]/, (capitals) => capitals.toLowerCase());
}

/** Reads filters in their order, so that the proxy needs to know none: a mirror has the edits that stand before it. */
export function readFilters(filters: readonly RouteFilter[], position: FiltersPosition, reading: Reading): Filters {
  const read = new FilterReading(position, reading);
  for (const [index, filter] of filters.entries()) read.add(filter, index);
  return read;
}

class FilterReading implements Filters {
  request: RequestEdits | undefined = undefined;
  response: HeaderEdits | undefined = undefined;
  cors: CorsPolicy | undefined = undefined;
  redirect: Redirect | undefined = undefined;
  readonly mirrors: Mirror[] = [];
  failsBy: string | undefined = undefined;
  readonly #position: FiltersPosition;
  readonly #reading: Reading;
  readonly #findings: Findings;
  readonly #types = new Set<string>();

  constructor(position: FiltersPosition, reading: Reading) {
    this.#position = position;
    this.#reading = reading;
    this.#findings = reading.findings;
  }

  add(filter: RouteFilter, index: number): void {
    const field = `${this.#position.at}[${index}]`;
    if (filter.type === 'ExtensionRef') this.#fail(field);
    else if (this.#isAllowed(filter.type, `${field}.type`)) this.#read(filter, field);
  }

  #fail(field: string): void {
    this.failsBy = field;
    const expected = 'a filter of the API itself (the mesh has no filters of its own kind, so its requests fail)';
    this.#findings.unresolved.push({ field, expected, got: 'ExtensionRef', reason: 'InvalidKind' });
  }

  #isAllowed(type: string, field: string): boolean {
    const { of } = this.#position;
    const known = KNOWN[this.#reading.route.kind][of];
    const got = shown(type);
    if (!known.includes(type)) {
      this.#findings.refuse(field, { expected: `a filter that a ${of} can have (${known.join(', ')})`, got });
      return false;
    }
    const isAgain = this.#types.has(type) && type !== 'RequestMirror';
    const other = type === 'URLRewrite' ? 'RequestRedirect' : type === 'RequestRedirect' ? 'URLRewrite' : '';
    this.#types.add(type);
    const expected = isAgain ? 'each filter once (but RequestMirror)' : `no filter that cannot go with ${other}`;
    const isFine = !isAgain && !this.#types.has(other);
    if (!isFine) this.#findings.refuse(field, { expected, got }, 'IncompatibleFilters');
    return isFine;
  }

  #read(filter: RouteFilter, field: string): void {
    const { type, requestHeaderModifier, responseHeaderModifier, requestMirror, requestRedirect, urlRewrite, cors } =
      filter;
    if (type === 'RequestHeaderModifier' && requestHeaderModifier !== undefined) {
      const edits = this.#editsOf(requestHeaderModifier, `${field}.requestHeaderModifier`);
      this.request = requestEditsAfter(this.request, edits && { ...edits, host: '', path: undefined });
    } else if (type === 'ResponseHeaderModifier' && responseHeaderModifier !== undefined) {
      this.response = editsAfter(
        this.response,
        this.#editsOf(responseHeaderModifier, `${field}.responseHeaderModifier`),
      );
    } else if (type === 'RequestMirror' && requestMirror !== undefined) {
      this.#mirror(requestMirror, `${field}.requestMirror`);
    } else if (type === 'RequestRedirect' && requestRedirect !== undefined) {
      this.redirect = redirectOf(requestRedirect, `${field}.requestRedirect`, this.#position.matches, this.#findings);
    } else if (type === 'URLRewrite' && urlRewrite !== undefined) {
      this.#rewrite(urlRewrite, `${field}.urlRewrite`);
    } else if (type === 'CORS' && cors !== undefined) {
      this.cors = corsOf(cors, `${field}.cors`, this.#findings);
    } else {
      this.#findings.refuse(field, { expected: `${memberOf(type)} in a filter of type ${type}`, got: 'none' });
    }
  }

  /** One action for a name: several are invalid (HTTPHeaderFilter), but of equal ones in a list the first counts (HTTPHeader.name). */
  #editsOf({ set, add, remove }: HeaderModifier, field: string): HeaderEdits | undefined {
    const wishes: (HeaderWish & { readonly field: string })[] = [
      ...set.map((line, index) => ({ does: 'set' as const, ...line, field: `${field}.set[${index}]` })),
      ...add.map((line, index) => ({ does: 'add' as const, ...line, field: `${field}.add[${index}]` })),
      ...remove.map((name, index) => ({
        does: 'remove' as const,
        name,
        value: '',
        field: `${field}.remove[${index}]`,
      })),
    ];
    const firsts = new Map<string, HeaderWish>();
    for (const wish of wishes) {
      const refusal = headerRefusal(wish);
      const nameField = wish.does === 'remove' ? wish.field : `${wish.field}.name`;
      const name = wish.name.toLowerCase();
      const first = firsts.get(name);
      if (refusal !== undefined) {
        this.#findings.refuse(refusal.part === 'name' ? nameField : `${wish.field}.value`, refusal);
      } else if (first === undefined) firsts.set(name, wish);
      else if (first.does === wish.does) {
        this.#findings.hint(nameField, { expected: 'each name once (the first counts)', got: shown(wish.name) });
      } else
        this.#findings.refuse(nameField, {
          expected: 'one action for each name',
          got: `${wish.does} ${shown(wish.name)}`,
        });
    }
    return editsOf([...firsts.values()]);
  }

  #rewrite({ hostname, path }: NonNullable<RouteFilter['urlRewrite']>, field: string): void {
    const refusal = hostname === '' ? undefined : hostRefusal(hostname);
    if (refusal !== undefined) this.#findings.refuse(`${field}.hostname`, refusal);
    const edit = path && pathEditOf(path, `${field}.path`, this.#position.matches, this.#findings);
    this.request = requestEditsAfter(this.request, { drop: [], lines: [], host: hostname, path: edit });
  }

  #mirror(filter: MirrorFilter, field: string): void {
    const destination = destinationOf(filter.backendRef, `${field}.backendRef`, this.#reading);
    if (this.mirrors.length === ROUTING_LIMITS.mirrors) {
      this.#findings.refuse(field, { expected: `at most ${ROUTING_LIMITS.mirrors} mirrors`, got: 'more' });
      return;
    }
    this.mirrors.push({ ...destination, share: shareOf(filter, field, this.#findings), request: this.request });
  }
}

function shareOf({ percent, fraction }: MirrorFilter, field: string, findings: Findings): number {
  if (percent !== undefined && fraction !== undefined) {
    findings.refuse(field, { expected: 'percent or fraction', got: 'both' });
  } else if (percent !== undefined) {
    if (percent >= 0 && percent <= 100) return percent / 100;
    findings.refuse(`${field}.percent`, { expected: 'a percentage from 0 to 100', got: shown(percent) });
  } else if (fraction !== undefined) {
    const { numerator, denominator } = fraction;
    if (denominator >= 1 && numerator >= 0 && numerator <= denominator) return numerator / denominator;
    findings.refuse(`${field}.fraction`, { expected: 'a fraction from 0 to 1', got: `${numerator}/${denominator}` });
  }
  return 1;
}
