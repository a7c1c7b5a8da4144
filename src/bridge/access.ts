import type { Source } from '../proxy/http.ts';
import type { MessageProblem } from './problem.ts';

export { PolicyAccess, type PolicyAccessParts } from './access/policies.ts';

/** What lets a call pass: a policy, or `--bridge-open`. */
export interface Grant {
  /** Name of the policy, or `open`: metrics and spans carry it in place of subjects. */
  readonly policy: string;
  /** Bytes of a message; Infinity: as the server says. */
  readonly maxPayload: number;
  /** May this `Nats-…` header (lower-case) be set? */
  allowsHeader(name: string): boolean;
  /** Takes so many messages out of the rate; undefined: they may pass. */
  take(messages: number, nowMs: number): MessageProblem | undefined;
}

/** What one caller may do. Subjects and names must be well-formed already. A problem says what policy would be needed. */
export interface Grants {
  /** How its idempotency keys and tokens are told from those of others: its namespace and service account, else the policy. */
  readonly identity: string;
  publish(subject: string): Grant | MessageProblem;
  request(subject: string): Grant | MessageProblem;
  /** @param pattern with or without wildcards: everything that it matches must be allowed, and nothing of it denied. */
  subscribe(pattern: string): Grant | MessageProblem;
  /** Whoever may read a stream may read all of it: it needs no right to subscribe. */
  readStream(stream: string): Grant | MessageProblem;
  pull(stream: string, consumer: string): Grant | MessageProblem;
  kv(bucket: string, access: 'read' | 'write'): Grant | MessageProblem;
}

/** Who may do what: policies against callers. */
export interface Access {
  grantsOf(source: Source): Grants;
}
