import { parseCidr } from '../../lib/cidr.ts';
import { memberPath } from '../../lib/field-path.ts';
import { shown } from '../../lib/shown.ts';
import { parseSize } from '../../lib/size.ts';
import { nameRefusal, patternRefusal } from '../../lib/subject.ts';
import { unchanged, unchangedList } from '../../lib/unchanged.ts';
import type { Mismatch, Problem } from '../../model/problem.ts';
import { type NatsPolicyResource, objectName } from '../../model/resource.ts';
import {
  type KvRule,
  type NatsPolicy,
  OWN_PREFIX,
  POLICY_HEADERS,
  type PolicySource,
  type SubjectRules,
} from '../../model/snapshot.ts';
import { mismatchOf } from './message-rules.ts';
import { problemsOf } from './mismatches.ts';

/** What one NatsPolicy compiles to. */
export interface CompiledPolicy {
  readonly resource: NatsPolicyResource;
  readonly policy: NatsPolicy;
  readonly problems: readonly Problem[];
}

const ALLOWS_NOTHING = 'until then the policy allows nothing';
const RATE = /^([1-9]\d{0,8})\/s$/;
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** By name and sorted by it; one that is the same object (===) as before is not compiled again. */
export function compilePolicies(
  resources: readonly NatsPolicyResource[],
  before: ReadonlyMap<string, CompiledPolicy> | undefined,
): ReadonlyMap<string, CompiledPolicy> {
  const sorted = resources.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(
    sorted.map((resource) => {
      const known = before?.get(resource.name);
      return [resource.name, known?.resource === resource ? known : compilePolicy(resource, known)];
    }),
  );
}

export function policyList(
  compiled: ReadonlyMap<string, CompiledPolicy>,
  before: readonly NatsPolicy[] | undefined,
): readonly NatsPolicy[] {
  return unchangedList(
    [...compiled.values()].map(({ policy }) => policy),
    before,
  );
}

function compilePolicy(resource: NatsPolicyResource, before: CompiledPolicy | undefined): CompiledPolicy {
  const reading = new PolicyReading(resource);
  const policy = unchanged(reading.policy(), before?.policy);
  const problems = problemsOf(objectName('NatsPolicy', resource), reading.mismatches, resource.origin);
  return { resource, policy, problems };
}

/**
 * Reads what the values of a policy mean. What cannot be obeyed never allows more than what was meant: of what is allowed it
 * costs itself, of what narrows whom the policy is for it costs the entry, and where something is denied or limited in a way
 * that cannot be obeyed, the policy allows nothing; what it denies otherwise, it denies.
 */
class PolicyReading {
  readonly mismatches: Mismatch[] = [];
  readonly #resource: NatsPolicyResource;
  /** A restriction could not be read. */
  #isLax = false;

  constructor(resource: NatsPolicyResource) {
    this.#resource = resource;
  }

  policy(): NatsPolicy {
    const { name, maxPayload, rate, headers } = this.#resource;
    const read: NatsPolicy = {
      name,
      from: this.#sources(),
      publish: this.#rules('publish'),
      request: this.#rules('request'),
      subscribe: this.#rules('subscribe'),
      streams: this.#good(this.#resource.streams, 'spec.streams.read', starOrName),
      consumers: this.#good(this.#resource.consumers, 'spec.consumers.pull', consumerRefusal),
      kv: this.#kv(),
      maxPayload: this.#limit(maxPayload, 'spec.maxPayload', 'a size of a byte or more, such as 256KiB', parseSize),
      rate: this.#limit(rate, 'spec.rate', 'messages per second, such as 500/s', rateOf),
      headers: this.#good(headers, 'spec.headers', headerRefusal).map((header) => header.toLowerCase()),
    };
    if (!this.#isLax) return read;
    return {
      ...read,
      publish: deniesOf(read.publish),
      request: deniesOf(read.request),
      subscribe: deniesOf(read.subscribe),
      streams: [],
      consumers: [],
      kv: [],
    };
  }

  #sources(): readonly PolicySource[] {
    const { from } = this.#resource;
    if (from.length === 0) this.#mismatch('spec.from', 'whom it is for (until then it is for nobody)', 'nothing');
    return from.flatMap((entry, index): PolicySource[] => {
      const field = `spec.from[${index}]`;
      if (entry.serviceAccounts !== undefined) {
        const expected =
          'an entry without it (serviceAccounts is known, but not yet obeyed, so this entry is for nobody)';
        this.#mismatch(`${field}.serviceAccounts`, expected, 'a list');
      }
      const namespaces = this.#some(entry.namespaces, `${field}.namespaces`, namespaceRefusal);
      const addresses = this.#some(entry.addresses, `${field}.addresses`, addressRefusal);
      const isForNobody = entry.serviceAccounts !== undefined || namespaces?.length === 0 || addresses?.length === 0;
      if (isForNobody) return [];
      return [{ namespaces, podLabels: entry.podLabels, addresses: addresses?.map((text) => parseCidr(text)!) }];
    });
  }

  /** Those that are good, of a list that is there; without a good one it fits nobody. */
  #some(
    texts: readonly string[] | undefined,
    field: string,
    refusalOf: (text: string) => string | undefined,
  ): readonly string[] | undefined {
    if (texts?.length === 0)
      this.#mismatch(field, 'one or more (with none, this entry is for nobody)', 'an empty list');
    return texts && this.#good(texts, field, refusalOf);
  }

  #rules(use: 'publish' | 'request' | 'subscribe'): SubjectRules {
    const { allow, deny } = this.#resource[use];
    const denied = this.#good(deny, `spec.${use}.deny`, (pattern) => {
      const refusal = patternRefusal(pattern);
      if (refusal === undefined) return undefined;
      this.#isLax = true;
      return refusal.replace(', got ', ` (${ALLOWS_NOTHING}), got `);
    });
    return { allow: this.#good(allow, `spec.${use}.allow`, patternRefusal), deny: denied };
  }

  #kv(): readonly KvRule[] {
    return Object.entries(this.#resource.kv).flatMap(([bucket, access]): KvRule[] => {
      const field = memberPath('spec.kv', bucket);
      const refusal = starOrName(bucket);
      if (refusal !== undefined) this.mismatches.push(mismatchOf(field, refusal));
      else if (access === 'r' || access === 'rw') return [{ bucket, access: access === 'r' ? 'read' : 'write' }];
      else this.#mismatch(field, 'r or rw', shown(access));
      return [];
    });
  }

  #limit(
    text: string,
    field: string,
    expected: string,
    parse: (text: string) => number | undefined,
  ): number | undefined {
    if (text === '') return undefined;
    const limit = parse(text) ?? 0;
    if (limit > 0) return limit;
    this.#isLax = true;
    this.#mismatch(field, `${expected} (${ALLOWS_NOTHING})`, shown(text));
    return undefined;
  }

  #good(texts: readonly string[], field: string, refusalOf: (text: string) => string | undefined): readonly string[] {
    return texts.filter((text, index) => {
      const refusal = refusalOf(text);
      if (refusal !== undefined) this.mismatches.push(mismatchOf(`${field}[${index}]`, refusal));
      return refusal === undefined;
    });
  }

  #mismatch(field: string, expected: string, got: string): void {
    this.mismatches.push({ field, expected, got });
  }
}

function deniesOf({ deny }: SubjectRules): SubjectRules {
  return { allow: [], deny };
}

function starOrName(text: string): string | undefined {
  return text === '*' ? undefined : nameRefusal(text);
}

function consumerRefusal(text: string): string | undefined {
  const [stream = '', consumer, ...rest] = text.split('/');
  if (consumer === undefined || rest.length > 0) return `Expected STREAM/CONSUMER, got ${shown(text)}`;
  if (consumer.startsWith(OWN_PREFIX)) return `Expected a consumer that is not Heddle's own, got ${shown(consumer)}`;
  return starOrName(stream) ?? starOrName(consumer);
}

function namespaceRefusal(text: string): string | undefined {
  return LABEL.test(text) ? undefined : `Expected the name of a namespace, got ${shown(text)}`;
}

function addressRefusal(text: string): string | undefined {
  return parseCidr(text) === undefined
    ? `Expected an address block such as 10.0.0.0/8, fd00::/8 or 10.1.2.3, got ${shown(text)}`
    : undefined;
}

function headerRefusal(text: string): string | undefined {
  const isAllowed = POLICY_HEADERS.some((header) => header === text.toLowerCase());
  return isAllowed ? undefined : `Expected ${POLICY_HEADERS.join(', ')}, got ${shown(text)}`;
}

function rateOf(text: string): number | undefined {
  return Number(RATE.exec(text)?.[1] ?? 0);
}
