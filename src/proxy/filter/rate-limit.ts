import type { RateLimitKey, RateLimitPolicy } from '../../model/resilience.ts';
import type { BackendId, Workload } from '../../model/snapshot.ts';
import type { SharedMemory } from '../../model/message.ts';
import { type BucketKey, Buckets, type BucketVerdict } from '../../shared.ts';
import { type Edits, findNamed, type Head, LineEdits, type Source } from '../http.ts';

/** Of a header value, what counts. */
const VALUE_BYTES_MAX = 256;
/** Of a key, by what it is of; a header that is absent is nothing that a value could be. */
const KIND = { service: 1, source: 2, namespace: 3, header: 4, absent: 5 } as const;

const LEFT = Buffer.from('RateLimit: "default";r=');
const NEXT = Buffer.from(';t=');
const CRLF = Buffer.from('\r\n');

/** What a request is counted by. */
export interface Asking {
  readonly head: Head;
  readonly source: Pick<Source, 'address'>;
  /** By address. */
  readonly workloads: ReadonlyMap<string, Workload>;
}

/** The rate limits of a worker, that hold for the node. */
export class RateLimits {
  readonly #buckets: Buckets;
  readonly #key: BucketKey;
  #headerName = '';
  #header: Buffer = Buffer.alloc(0);

  constructor(shared: SharedMemory, worker: number) {
    this.#buckets = new Buckets(shared, worker);
    this.#key = this.#buckets.key();
  }

  /** A request. @param id of the port of the frontend. @param verdict of the exchange: `addRateLimit` tells it in the reply. */
  take(policy: RateLimitPolicy, id: BackendId, asking: Asking, nowMs: number, verdict: BucketVerdict): BucketVerdict {
    this.#name(policy.per, id, asking);
    return this.#buckets.take(this.#key, policy, nowMs, verdict);
  }

  /** How full its bucket is; nothing is taken, and `allowed` is not said. */
  peek(policy: RateLimitPolicy, id: BackendId, asking: Asking, nowMs: number, verdict: BucketVerdict): BucketVerdict {
    this.#name(policy.per, id, asking);
    return this.#buckets.peek(this.#key, policy, nowMs, verdict);
  }

  #name(per: RateLimitKey, id: BackendId, { head, source, workloads }: Asking): void {
    const key = this.#key;
    key.begin(id);
    key.word(KIND[per.of]);
    if (per.of === 'source') key.text(source.address);
    else if (per.of === 'namespace') key.text(workloads.get(source.address)?.namespace ?? '');
    else if (per.of === 'header') this.#nameHeader(per.name, head);
    key.end();
  }

  /** Who sends two of them, so that one counts here and another one there, is as one who sends none. */
  #nameHeader(name: string, head: Head): void {
    const key = this.#key;
    if (name !== this.#headerName) {
      this.#headerName = name;
      this.#header = Buffer.from(name, 'latin1');
    }
    key.text(name);
    const index = findNamed(head, this.#header);
    if (index < 0 || findNamed(head, this.#header, index + 1) >= 0) {
      key.word(KIND.absent);
      return;
    }
    const start = head.base + head.startOf(index);
    key.bytes(head.bytes, start, Math.min(head.base + head.endOf(index), start + VALUE_BYTES_MAX));
  }
}

/**
 * What a reply says of the limit that its request came under (draft-ietf-httpapi-ratelimit-headers), in place of what the endpoint
 * says: clients cannot tell two policies apart that both are the default one.
 */
export function addRateLimit(edits: Edits, policy: RateLimitPolicy, { left, nextMs }: BucketVerdict): void {
  edits.add(policyEdits(policy));
  edits.put(LEFT);
  edits.number(left);
  edits.put(NEXT);
  edits.number(Math.ceil(nextMs / 1000));
  edits.put(CRLF);
}

const made = new WeakMap<RateLimitPolicy, LineEdits>();

/** The lines that are the same for all replies under a policy; made once. */
function policyEdits(policy: RateLimitPolicy): LineEdits {
  let edits = made.get(policy);
  if (edits === undefined) {
    const { count, periodMs, burst } = policy;
    // The window of the draft has no burst: a parameter of ours tells it.
    const more = burst === count ? '' : `;heddle-burst=${burst}`;
    edits = new LineEdits({
      drop: ['ratelimit-policy', 'ratelimit'],
      lines: [['RateLimit-Policy', `"default";q=${count};w=${periodMs / 1000}${more}`]],
    });
    made.set(policy, edits);
  }
  return edits;
}
