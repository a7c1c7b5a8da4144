import type { DeliveryReport } from '../model/message.ts';
import { type Problem, problemOf } from '../model/problem.ts';
import type { Settings } from '../model/settings.ts';
import type { Subscription } from '../model/snapshot.ts';
import { HeadPool } from '../proxy/http.ts';
import type { ServeContext } from '../proxy/serve.ts';
import { Acknowledgements } from './deliveries/acknowledgements.ts';
import { HeldBytes } from './deliveries/held-bytes.ts';
import type { DeliveryParts } from './deliveries/delivery.ts';
import { JetStreamApi } from './deliveries/jetstream-api.ts';
import { LiveSubscription } from './deliveries/live-subscription.ts';
import { FIELDS_MAX } from './deliveries/request.ts';
import { BUCKET, Returned } from './deliveries/returned.ts';
import { TIMINGS, type Timings } from './deliveries/timings.ts';
import type { Cancel, Link } from './link.ts';

const TICK_MS = 500;

export interface DeliveriesOptions {
  readonly link: Link;
  /** What answers the requests that messages become. */
  readonly serve: ServeContext;
  readonly settings: Pick<Settings, 'workers'>;
  /** Index of this worker. */
  readonly worker: number;
  readonly timings?: Timings;
}

/** Messages that become requests: what the subscriptions of a plan ask for, as far as it is this worker's share. */
export class Deliveries {
  readonly #parts: DeliveryParts;
  readonly #live = new Map<string, LiveSubscription>();
  /** Those that no plan has any more, with something under way. */
  readonly #leaving = new Set<LiveSubscription>();
  readonly #clock: NodeJS.Timeout;
  readonly #unfollow: Cancel;
  #draining = false;

  constructor({ link, serve, settings, worker, timings = TIMINGS }: DeliveriesOptions) {
    const api = new JetStreamApi(link);
    const held = new HeldBytes(() => {
      for (const subscription of this.#live.values()) subscription.onRoom();
    });
    const heads = new HeadPool(FIELDS_MAX);
    const returned = new Returned(link, api);
    const acknowledgements = new Acknowledgements(link);
    const { workers } = settings;
    this.#parts = { link, api, serve, heads, held, returned, acknowledgements, timings, worker, workers };
    this.#clock = setInterval(() => {
      this.#tick();
    }, TICK_MS);
    this.#unfollow = link.onChange(() => {
      this.#onLink();
    });
  }

  /** @param subscriptions all that there are now, by id. */
  update(subscriptions: ReadonlyMap<string, Subscription>): void {
    if (this.#draining) return;
    for (const [id, live] of this.#live) {
      if (subscriptions.has(id)) continue;
      this.#live.delete(id);
      this.#leaving.add(live);
      void live.end('removed').then(() => this.#leaving.delete(live));
    }
    for (const [id, subscription] of subscriptions) {
      const live = this.#live.get(id);
      if (live === undefined) this.#live.set(id, new LiveSubscription(subscription, this.#parts));
      else live.update(subscription);
    }
    this.#tick();
  }

  get reports(): readonly DeliveryReport[] {
    return [...this.#live.values()].map(({ report }) => report);
  }

  get problems(): readonly Problem[] {
    const found = [...this.#live.values()].flatMap(({ problems }) => problems);
    const { problem } = this.#parts.returned;
    if (problem === '') return found;
    const expected = 'a bucket for deliveries that were no attempts';
    return [...found, problemOf(`NATS bucket ${BUCKET}`, { field: '', expected, got: problem })];
  }

  /** Stops pulling at once, gives back what waits, and resolves when nothing is under way; after `graceMs` that is given back too. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    const all = this.#all;
    await Promise.race([Promise.all(all.map((live) => live.end('draining'))), over]);
    clearTimeout(timer);
    for (const live of all) live.cut();
    this.#stop();
  }

  get #all(): readonly LiveSubscription[] {
    return [...this.#live.values(), ...this.#leaving];
  }

  #stop(): void {
    clearInterval(this.#clock);
    this.#unfollow();
    this.#parts.acknowledgements.flush();
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const live of this.#all) live.tick(nowMs);
  }

  #onLink(): void {
    for (const live of this.#live.values()) live.onLink();
  }
}
