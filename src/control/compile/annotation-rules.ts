import { shown } from '../../lib/shown.ts';
import { USUAL_PORT } from '../../model/ports.ts';
import { type Mismatch, placeOf } from '../../model/problem.ts';
import { objectName, type Service } from '../../model/resource.ts';
import {
  type Entry,
  type Match,
  type Mirror,
  NO_DEEDS,
  type RequestEdits,
  type Rule,
  type RuleTable,
  type SessionPolicy,
  type Target,
} from '../../model/routing.ts';
import { backendIdOf, objectKey } from '../../model/snapshot.ts';
import { COUNTS_AS_ABSENT } from './annotation-reading.ts';
import { annotationField } from './mismatches.ts';
import type { PortLimits } from './port-limits.ts';
import type { Asking } from './ref-book.ts';
import type { Ref } from './refs.ts';
import { regexWidthOf } from './regexes.ts';
import type { NamedService, RoutingWishes } from './routing-annotations.ts';

/** Everything fits. */
const ANY: Match = { path: undefined, methods: [], fields: [] };

/** What a rule by annotations is made for. */
export interface AnnotationRules {
  readonly service: Service;
  readonly wishes: RoutingWishes;
  /** Of the frontend: it holds for its split as a whole. */
  readonly session: SessionPolicy | undefined;
  /** Of the frontend. */
  readonly port: number;
  /** What it may have. */
  readonly limits: PortLimits;
  readonly refs: Asking;
}

/**
 * The rules that annotations make for one port: the matches in their order, then one for everything else. A `split` or `match`
 * with an entry that leads nowhere counts as absent: what is meant for one version goes to no other one, but to the Service as
 * it is without.
 */
export function annotationTable(rules: AnnotationRules): {
  /** Undefined: nothing is left of them. */
  readonly table: RuleTable | undefined;
  readonly mismatches: readonly Mismatch[];
} {
  const making = new TableMaking(rules);
  return { table: making.table(), mismatches: making.mismatches };
}

class TableMaking {
  readonly mismatches: Mismatch[] = [];
  readonly #of: AnnotationRules;
  readonly #edits: Pick<Target, 'request' | 'response'>;
  /** Annotations that count as absent. */
  readonly #lost = new Set<string>();

  constructor(of: AnnotationRules) {
    this.#of = of;
    this.#edits = { request: requestEdits(of.wishes), response: of.wishes.response };
  }

  table(): RuleTable | undefined {
    const { wishes, session } = this.#of;
    const mirrors = this.#mirrors();
    const split = this.#targets('split', wishes.split);
    const matches = this.#hasRoom()
      ? this.#targets(
          'match',
          wishes.matches.map(({ service }) => ({ service, weight: 1 })),
        )
      : [];
    const first = wishes.written.find(({ name }) => !this.#lost.has(name));
    if (first === undefined) return undefined;
    const rules = matches.map((target) => this.#rule(this.#key('match'), [target], mirrors));
    const entries = matches.map(({ field }, index): Entry => ({
      match: wishes.matches[index]!.match,
      rule: index,
      field,
    }));
    const rest = this.#rule(first.key, split.length > 0 ? split : [this.#self(first.key)], mirrors);
    const last: Entry = { match: ANY, rule: rules.length, field: rest.source.field };
    return {
      protocol: 'http',
      rules: [...rules, { ...rest, session: split.length > 0 ? session : undefined }],
      entries: [...entries, last],
      unmatched: 'forward',
    };
  }

  /** For the matches, and for one that is for everything else. */
  #hasRoom(): boolean {
    const { wishes, limits } = this.#of;
    const entries = wishes.matches.length + 1;
    const width = wishes.matches.reduce((sum, { match }) => sum + regexWidthOf(match), 0);
    if (entries <= limits.entries && width <= limits.regexWidth) return true;
    const expected = `at most ${limits.entries - 1} matches and regular expressions of a total width of ${limits.regexWidth}${COUNTS_AS_ABSENT}`;
    const got = `${wishes.matches.length} and ${width}`;
    this.mismatches.push({ field: annotationField(this.#key('match')), expected, got });
    this.#lost.add('match');
    return false;
  }

  #rule(key: string, targets: readonly Target[], mirrors: readonly Mirror[]): Rule {
    const { service, wishes } = this.#of;
    const field = annotationField(key);
    return {
      source: { object: objectName('Service', service), field, name: '', ...placeOf(field, service.origin) },
      ...NO_DEEDS,
      redirect: wishes.redirect,
      mirrors,
      targets: wishes.redirect === undefined ? targets : [],
      response: wishes.response,
    };
  }

  /** None: there are none, or one leads nowhere. */
  #targets(
    name: 'split' | 'match',
    wished: readonly { readonly service: NamedService; readonly weight: number }[],
  ): readonly Target[] {
    const targets = wished.flatMap(({ service, weight }, index): readonly Target[] => {
      const key = this.#key(name);
      const { ref, text } = this.#follow(service);
      if ('backend' in ref) {
        const field = `${annotationField(key)}[${index}]`;
        return [{ field, name: text, backend: ref.backend, reason: '', weight, ...this.#edits }];
      }
      this.#lost.add(name);
      this.#tell(key, ref.text + COUNTS_AS_ABSENT, text);
      return [];
    });
    return this.#lost.has(name) ? [] : targets;
  }

  #mirrors(): readonly Mirror[] {
    return this.#of.wishes.mirrors.map(({ service, share }, index): Mirror => {
      const key = this.#key('mirror');
      const { ref, text } = this.#follow(service);
      const isFound = 'backend' in ref;
      if (!isFound) this.#tell(key, `${ref.text} (until then nothing is copied there)`, text);
      return {
        field: `${annotationField(key)}[${index}]`,
        name: text,
        backend: isFound ? ref.backend : undefined,
        reason: isFound ? '' : ref.text,
        share,
        request: this.#edits.request,
      };
    });
  }

  #self(key: string): Target {
    const { service, port } = this.#of;
    const backend = backendIdOf(objectKey(service), port);
    const name = targetName(service, port);
    return { field: annotationField(key), name, backend, reason: '', weight: 1, ...this.#edits };
  }

  /** Without a port: that of the frontend, else the usual one, else the only one. */
  #follow({ namespace, name, port }: NamedService): { readonly ref: Ref; readonly text: string } {
    const { refs, port: own } = this.#of;
    const asked = port === 0 ? own : port;
    const ref = refs.service(namespace, name, asked);
    const found = (ofPort: number, answer: Ref) => ({ ref: answer, text: targetName({ namespace, name }, ofPort) });
    if (port !== 0 || 'backend' in ref || ref.reason !== 'BackendNotFound') return found(asked, ref);
    const usual = refs.service(namespace, name, USUAL_PORT);
    if ('backend' in usual) return found(USUAL_PORT, usual);
    const only = refs.onlyPort(namespace, name);
    return only === 0 ? found(asked, ref) : found(only, refs.service(namespace, name, only));
  }

  #tell(key: string, why: string, name: string): void {
    this.mismatches.push({
      field: annotationField(key),
      expected: `a Service that can be reached: ${why}`,
      got: shown(name),
    });
  }

  /** As it is written. */
  #key(name: RoutingWishes['written'][number]['name']): string {
    return this.#of.wishes.written.find((one) => one.name === name)!.key;
  }
}

function targetName(service: { readonly namespace: string; readonly name: string }, port: number): string {
  return `${objectName('Service', service)}:${port}`;
}

function requestEdits({ request, host, path }: RoutingWishes): RequestEdits | undefined {
  if (request === undefined && host === '' && path === undefined) return undefined;
  return { drop: request?.drop ?? [], lines: request?.lines ?? [], host, path };
}
