import { TokenBucket } from '../../lib/token-bucket.ts';
import { judge, judgementText, type Use } from '../../model/rules.ts';
import type { NatsPolicy, Workload } from '../../model/snapshot.ts';
import type { Grant, Grants } from '../access.ts';
import { MessageProblem } from '../problem.ts';
import { identityOf, never } from './own.ts';

/** A policy with what it counts: a grant by itself, where no other one allows the same. */
export class LivePolicy implements Grant {
  readonly policy: string;
  readonly maxPayload: number;
  readonly rules: NatsPolicy;
  readonly #bucket: TokenBucket | undefined;

  constructor(rules: NatsPolicy, workers: number) {
    this.rules = rules;
    this.policy = rules.name;
    this.maxPayload = rules.maxPayload ?? Infinity;
    this.#bucket = rules.rate === undefined ? undefined : new TokenBucket(rules.rate / workers);
  }

  allowsHeader(name: string): boolean {
    return this.rules.headers.includes(name);
  }

  take(messages: number, nowMs: number): MessageProblem | undefined {
    if (this.#bucket === undefined || this.#bucket.take(messages, nowMs)) return undefined;
    const detail = `NatsPolicy ${this.policy} allows ${this.rules.rate} messages per second and node, which its workers share`;
    return new MessageProblem('rate-limited', detail, { policy: this.policy });
  }
}

/** Several policies that allow the same: what one of them allows is allowed. */
class UnionGrant implements Grant {
  readonly policy: string;
  readonly maxPayload: number;
  readonly #members: readonly LivePolicy[];

  constructor(first: LivePolicy, members: readonly LivePolicy[]) {
    this.policy = first.policy;
    this.maxPayload = Math.max(...members.map(({ maxPayload }) => maxPayload));
    this.#members = members;
  }

  allowsHeader(name: string): boolean {
    return this.#members.some((member) => member.allowsHeader(name));
  }

  take(messages: number, nowMs: number): MessageProblem | undefined {
    let refusal: MessageProblem | undefined;
    for (const member of this.#members) {
      refusal = member.take(messages, nowMs);
      if (refusal === undefined) return undefined;
    }
    return refusal;
  }
}

/** What a caller may do by the policies that fit him. */
export class PolicyGrants implements Grants {
  readonly identity: string;
  readonly #who: string;
  readonly #policies: readonly LivePolicy[];
  readonly #rules: readonly NatsPolicy[];

  /** @param policies in the order of their names: the first one that allows gives its name to metrics. */
  constructor(address: string, workload: Workload | undefined, policies: readonly LivePolicy[]) {
    this.identity = identityOf(workload, `policy:${policies[0]?.policy ?? ''}`);
    this.#who =
      workload === undefined
        ? `${address}, which is no pod that this node knows,`
        : `namespace ${workload.namespace} (pod ${workload.name}, ${address})`;
    this.#policies = policies;
    this.#rules = policies.map(({ rules }) => rules);
  }

  publish(subject: string): Grant | MessageProblem {
    return this.#judge('publish', subject);
  }

  request(subject: string): Grant | MessageProblem {
    return this.#judge('request', subject);
  }

  subscribe(pattern: string): Grant | MessageProblem {
    return never.subscribe(pattern) ?? this.#judge('subscribe', pattern);
  }

  readStream(stream: string): Grant | MessageProblem {
    const named = ({ streams }: NatsPolicy): boolean => streams.includes(stream) || streams.includes('*');
    return this.#grant(named) ?? this.#refusal(`read the stream ${stream}`, `spec.streams.read ${stream}`);
  }

  pull(stream: string, consumer: string): Grant | MessageProblem {
    const own = never.pull(stream, consumer);
    if (own !== undefined) return own;
    const named = ({ consumers }: NatsPolicy): boolean =>
      consumers.some((entry) => {
        const [ofStream, name] = entry.split('/');
        return (ofStream === '*' || ofStream === stream) && (name === '*' || name === consumer);
      });
    const what = `${stream}/${consumer}`;
    return this.#grant(named) ?? this.#refusal(`pull from the consumer ${what}`, `spec.consumers.pull ${what}`);
  }

  kv(bucket: string, access: 'read' | 'write'): Grant | MessageProblem {
    const own = never.kv(bucket);
    if (own !== undefined) return own;
    const named = ({ kv }: NatsPolicy): boolean =>
      kv.some(
        (rule) => (rule.bucket === '*' || rule.bucket === bucket) && (access === 'read' || rule.access === 'write'),
      );
    const does = access === 'read' ? `read the bucket ${bucket}` : `write to the bucket ${bucket}`;
    return this.#grant(named) ?? this.#refusal(does, `spec.kv ${bucket}: ${access === 'read' ? 'r' : 'rw'}`);
  }

  #judge(use: Use, pattern: string): Grant | MessageProblem {
    const judgement = judge(this.#rules, use, pattern);
    if (!judgement.allowed) return new MessageProblem('not-allowed', judgementText(judgement, this.#who, use, pattern));
    return this.#grant((rules) => judgement.by.includes(rules))!;
  }

  /** Of those whose rules allow it; undefined: none does. */
  #grant(allows: (rules: NatsPolicy) => boolean): Grant | undefined {
    const members = this.#policies.filter(({ rules }) => allows(rules));
    const [first] = members;
    return first === undefined || members.length === 1 ? first : new UnionGrant(first, members);
  }

  #refusal(does: string, needed: string): MessageProblem {
    const detail = `No NatsPolicy allows ${this.#who} to ${does}: one with spec.from for it and ${needed} is needed`;
    return new MessageProblem('not-allowed', detail);
  }
}
