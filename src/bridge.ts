import type { BridgeReport, BridgeSecrets, LinkReport } from './model/message.ts';
import type { Settings } from './model/settings.ts';
import type { Backend, NatsPolicy, SubjectTarget, Subscription, Workload } from './model/snapshot.ts';
import type { LiveBridge } from './bridge/live.ts';
import { RefusingCarrier } from './bridge/refusing-carrier.ts';
import { MessageProblem } from './bridge/problem.ts';
import type { Carrier } from './proxy/http.ts';
import type { MessageCarriers, ServeContext } from './proxy/serve.ts';

/** What the bridge reads of a plan. */
export interface MessagePlan {
  /** By id. */
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  /** By name. */
  readonly policies: ReadonlyMap<string, NatsPolicy>;
  /** By address. */
  readonly workloads: ReadonlyMap<string, Workload>;
}

export interface BridgeOptions {
  /** Index of this worker. */
  readonly worker: number;
  readonly settings: Settings;
  /** Told when the link changes, and what else has changed once a second. */
  readonly onReport: (report: BridgeReport) => void;
}

const OFF: LinkReport = {
  state: 'off',
  server: undefined,
  error: '',
  reconnects: 0,
  bytesInFlight: 0,
  messagesOut: 0,
  messagesIn: 0,
};

const NO_URL = new MessageProblem('no-broker', 'No NATS server is configured: start Heddle with --nats-url');
const STARTING = new MessageProblem('no-broker', 'The connection to the NATS server is being made');

/**
 * The bridge of a worker: exchanges that become messages, and messages that become exchanges. Without a broker it says so and
 * nothing else of it is loaded: the client library costs time and memory in each worker.
 */
export class Bridge implements MessageCarriers {
  readonly #options: BridgeOptions;
  readonly #serve: () => ServeContext;
  /** Loaded with the first secrets; undefined: there is no broker, or it is not loaded yet. */
  #live: LiveBridge | undefined = undefined;
  #secrets: BridgeSecrets | undefined = undefined;
  #plan: MessagePlan | undefined = undefined;
  #draining = false;

  /** @param serve through which deliveries go; asked for when all of the worker is wired. */
  constructor(options: BridgeOptions, serve: () => ServeContext) {
    this.#options = options;
    this.#serve = serve;
    if (!this.#hasBroker) options.onReport({ link: OFF, deliveries: [], problems: [], calls: [] });
  }

  api(): Carrier {
    return this.#live?.api() ?? this.#refusal();
  }

  subject(backend: Backend, target: SubjectTarget, replyMs: number): Carrier {
    return this.#live?.subject(backend, target, replyMs) ?? this.#refusal();
  }

  /** What the link needs to be let in, at first and whenever it has changed. */
  admit(secrets: BridgeSecrets): void {
    const isFirst = this.#secrets === undefined;
    this.#secrets = secrets;
    if (!this.#hasBroker) return;
    if (isFirst) void this.#load();
    else this.#live?.admit(secrets);
  }

  /** A plan is in force. */
  obey(plan: MessagePlan): void {
    this.#plan = plan;
    this.#live?.obey(plan);
  }

  /** Nothing new is pulled, long answers come to their end; what is under way goes on. */
  drain(): void {
    this.#draining = true;
    this.#live?.drain();
  }

  /** Resolves when no delivery is under way; what was held is given back. */
  async finish(): Promise<void> {
    this.drain();
    await this.#live?.finish();
  }

  get #hasBroker(): boolean {
    return this.#options.settings.nats.urls.length > 0;
  }

  #refusal(): Carrier {
    return new RefusingCarrier(this.#hasBroker ? STARTING : NO_URL);
  }

  async #load(): Promise<void> {
    const { LiveBridge } = await import('./bridge/live.ts');
    const live = new LiveBridge(this.#options, this.#serve());
    live.admit(this.#secrets!);
    if (this.#plan !== undefined) live.obey(this.#plan);
    if (this.#draining) live.drain();
    this.#live = live;
  }
}
