import type {
  Mirror,
  RequestEdits,
  Routing,
  Rule,
  RuleSource,
  RuleTable,
  FrontendPolicy,
  Target,
} from '../../model/routing.ts';
import { LineEdits } from '../http.ts';
import { Matcher } from './matcher.ts';
import { type Terms, termsOf, type TermsSettings, type Wishes } from './terms.ts';

/** Of those who made a table, in a reply. */
const OWNERS_MAX = 3;

/** A worker's live form of a routing. Immutable; what a worker knows of a session or an endpoint is nowhere in it. */
export class LiveRouting {
  readonly routing: Routing;
  readonly policy: FrontendPolicy | undefined;
  /** The namespace of a client makes a difference. */
  readonly hasConsumers: boolean;
  readonly #all: LiveTable | undefined;
  readonly #consumers: ReadonlyMap<string, LiveTable>;

  /** Of requests that no rule decides about. */
  readonly terms: Terms;

  /** Throws a SyntaxError for a regular expression that cannot be made. */
  constructor(routing: Routing, settings: TermsSettings) {
    const composed = (rule?: Wishes): Terms => termsOf(settings, this.wishesOf(rule));
    const consumers = Object.entries(routing.consumers);
    this.routing = routing;
    this.policy = routing.policy;
    this.terms = composed();
    this.hasConsumers = consumers.length > 0;
    this.#all = routing.all && new LiveTable(routing.all, composed);
    this.#consumers = new Map(consumers.map(([namespace, table]) => [namespace, new LiveTable(table, composed)]));
  }

  /** The rules for a client. @param namespace of the client; empty: unknown. Undefined: there are none. */
  tableFor(namespace: string): LiveTable | undefined {
    return this.#consumers.get(namespace) ?? this.#all;
  }

  /** Whose wishes make the terms of a request, the more special ones first. @param rule undefined: none decides about it. */
  wishesOf(rule: Wishes | undefined): readonly Wishes[] {
    return [rule, this.policy].filter((wishes) => wishes !== undefined);
  }
}

export class LiveTable {
  readonly table: RuleTable;
  readonly matcher: Matcher;
  /** Made when a request first comes under them: of thousands few are used, and a plan with all of them must not take long. */
  readonly #rules: (LiveRule | undefined)[];
  readonly #composed: (rule: Wishes) => Terms;
  #owners = '';

  /** @param composed the terms of a rule. */
  constructor(table: RuleTable, composed: (rule: Wishes) => Terms) {
    this.table = table;
    this.#composed = composed;
    this.matcher = new Matcher(table.entries);
    this.#rules = table.rules.map(() => undefined);
  }

  /** The rule of an entry, by the index of that. */
  ruleOf(entry: number): LiveRule {
    const { entries, rules } = this.table;
    const { rule } = entries[entry]!;
    return (this.#rules[rule] ??= new LiveRule(rules[rule]!, this.#composed(rules[rule]!)));
  }

  /** Whose rules these are, for a person: the first few. */
  get owners(): string {
    if (this.#owners === '') {
      const all = [...new Set(this.table.rules.map(({ source }) => source.object))];
      const more = all.length > OWNERS_MAX ? ` and ${all.length - OWNERS_MAX} more` : '';
      this.#owners = `${all.slice(0, OWNERS_MAX).join(', ') || 'its routes'}${more}`;
    }
    return this.#owners;
  }
}

export class LiveRule {
  readonly rule: Rule;
  /** What it is called where exchanges are told of: `HTTPRoute shop/orders rules[1]`, `Service shop/orders heddle.dev/split`. */
  readonly text: string;
  readonly targets: readonly LiveTarget[];
  /** Of all targets. */
  readonly weight: number;
  readonly mirrors: readonly LiveMirror[];
  readonly response: LineEdits | undefined;

  readonly terms: Terms;

  constructor(rule: Rule, terms: Terms) {
    this.rule = rule;
    this.terms = terms;
    this.text = textOf(rule.source);
    this.targets = rule.targets.map((target) => new LiveTarget(target));
    this.weight = rule.targets.reduce((sum, { weight }) => sum + weight, 0);
    this.mirrors = rule.mirrors.map((mirror) => new LiveMirror(mirror));
    this.response = rule.response && new LineEdits(rule.response);
  }
}

export class LiveTarget {
  readonly target: Target;
  readonly request: LiveRequestEdits | undefined;
  readonly response: LineEdits | undefined;

  constructor(target: Target) {
    this.target = target;
    this.request = target.request && new LiveRequestEdits(target.request);
    this.response = target.response && new LineEdits(target.response);
  }
}

export class LiveMirror {
  readonly mirror: Mirror;
  readonly request: LiveRequestEdits | undefined;

  constructor(mirror: Mirror) {
    this.mirror = mirror;
    this.request = mirror.request && new LiveRequestEdits(mirror.request);
  }
}

export class LiveRequestEdits {
  readonly edits: RequestEdits;
  readonly lines: LineEdits;
  /** In place of Host; undefined: it stays. */
  readonly host: Buffer | undefined;
  /** What stands in place of the path, or of its prefix. */
  readonly path: Buffer | undefined;

  constructor(edits: RequestEdits) {
    this.edits = edits;
    this.lines = new LineEdits(edits);
    this.host = edits.host === '' ? undefined : Buffer.from(edits.host, 'latin1');
    this.path = edits.path && Buffer.from(edits.path.by, 'latin1');
  }
}

/** Short, and still one of its kind: what all rules of a kind of source share is left out. */
function textOf({ object, field }: RuleSource): string {
  const key = /^metadata\.annotations\["(.*)"\]$/.exec(field);
  return `${object} ${key?.[1] ?? field.replace(/^spec\./, '')}`;
}
