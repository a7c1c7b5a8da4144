import { NANOSECONDS_PER_MS } from '../../lib/duration.ts';
import { OWN_PREFIX } from '../../model/snapshot.ts';
import type { Link } from '../link.ts';
import type { JetStreamApi } from './jetstream-api.ts';

export const BUCKET = `${OWN_PREFIX}attempts`;
const STREAM = `KV_${BUCKET}`;
const TTL_MS = 3 * 86_400_000;
const STORE_MS = 5000;
const READ_MS = 2000;
const NO_BYTES = Buffer.alloc(0);

/**
 * How often a message was given back without an attempt: the server counts those deliveries, the Service never saw them
 * (bridge.md 00.3). Kept in a bucket, because the next delivery may be another node's; made when the first such count is.
 */
export class Returned {
  readonly #link: Link;
  readonly #api: JetStreamApi;
  /** Why counts cannot be kept; empty: they can, as far as is known. */
  problem = '';

  constructor(link: Link, api: JetStreamApi) {
    this.#link = link;
    this.#api = api;
  }

  /** @param done is given undefined where the answer did not come: then nothing is known. */
  read(consumer: string, sequence: number, done: (count: number | undefined) => void): void {
    const subject = `$JS.API.DIRECT.GET.${STREAM}.${keyOf(consumer, sequence)}`;
    this.#link.request({ subject, headers: undefined, body: NO_BYTES }, READ_MS, (problem, answer) => {
      // Nobody answers where there is no bucket yet, and the status is 404 where it has no such key.
      if (problem !== undefined) done(problem.code === 'no-responders' ? 0 : undefined);
      else {
        const count = Number(answer?.headers?.code ? 0 : answer?.string());
        done(Number.isSafeInteger(count) && count > 0 ? count : 0);
      }
    });
  }

  /** @param done is called also where it could not be kept: then the delivery counts as an attempt. */
  write(consumer: string, sequence: number, count: number, replicas: number, done: () => void): void {
    this.#store(consumer, sequence, count, (missing) => {
      if (missing) void this.#storeInNew(consumer, sequence, count, replicas, done);
      else done();
    });
  }

  async #storeInNew(
    consumer: string,
    sequence: number,
    count: number,
    replicas: number,
    done: () => void,
  ): Promise<void> {
    if (await this.#create(replicas)) this.#store(consumer, sequence, count, done);
    else done();
  }

  #store(consumer: string, sequence: number, count: number, done: (missing: boolean) => void): void {
    const message = { subject: keyOf(consumer, sequence), headers: undefined, body: Buffer.from(String(count)) };
    this.#link.store(message, STORE_MS, (problem) => {
      if (problem === undefined) this.problem = '';
      done(problem?.code === 'no-stream');
    });
  }

  async #create(replicas: number): Promise<boolean> {
    try {
      // As ADR-8 makes a bucket.
      await this.#api.createStream({
        name: STREAM,
        description: 'Heddle: deliveries that were no attempts',
        subjects: [`$KV.${BUCKET}.>`],
        max_msgs_per_subject: 1,
        max_age: TTL_MS * NANOSECONDS_PER_MS,
        discard: 'new',
        num_replicas: replicas,
        allow_rollup_hdrs: true,
        deny_delete: true,
        allow_direct: true,
        duplicate_window: 120_000 * NANOSECONDS_PER_MS,
      });
      this.problem = '';
      return true;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      return false;
    }
  }
}

function keyOf(consumer: string, sequence: number): string {
  return `$KV.${BUCKET}.${consumer}.${sequence}`;
}
