import type { BridgeReport, BridgeSecrets } from '../model/message.ts';
import type { Backend, SubjectTarget } from '../model/snapshot.ts';
import type { BridgeOptions, MessagePlan } from '../bridge.ts';
import type { Carrier } from '../proxy/http.ts';
import type { ServeContext } from '../proxy/serve.ts';
import { PolicyAccess } from './access.ts';
import { Api } from './api.ts';
import { Deliveries } from './deliveries.ts';
import { NatsLink } from './link.ts';
import { SubjectCarriers } from './subject-carrier.ts';

const REPORT_MS = 1000;

/** The bridge of a worker that has a broker: wires the link and what stands on it. */
export class LiveBridge {
  readonly #onReport: (report: BridgeReport) => void;
  readonly #access: PolicyAccess;
  readonly #link: NatsLink;
  readonly #api: Api;
  readonly #subjects: SubjectCarriers;
  readonly #deliveries: Deliveries;
  readonly #drainMs: number;
  readonly #reporting: NodeJS.Timeout;
  #reported = '';
  #drained: Promise<void> | undefined = undefined;

  constructor({ worker, settings, onReport }: BridgeOptions, serve: ServeContext) {
    this.#onReport = onReport;
    this.#drainMs = settings.drainTimeoutMs;
    this.#access = new PolicyAccess({ open: settings.nats.open, workers: settings.workers });
    this.#link = new NatsLink({ settings, worker });
    this.#api = new Api(this.#link, this.#access);
    this.#subjects = new SubjectCarriers({ link: this.#link, access: this.#access });
    this.#deliveries = new Deliveries({ link: this.#link, serve, settings, worker });
    this.#link.onChange(() => {
      this.#report();
    });
    this.#reporting = setInterval(() => {
      this.#report();
    }, REPORT_MS);
  }

  api(): Carrier {
    return this.#api.carrier();
  }

  subject(backend: Backend, target: SubjectTarget, replyMs: number): Carrier {
    return this.#subjects.carrier(backend, target, replyMs);
  }

  admit(secrets: BridgeSecrets): void {
    this.#api.admit(secrets);
    this.#link.connect(secrets);
  }

  obey({ subscriptions, policies, workloads }: MessagePlan): void {
    this.#access.update(policies, workloads);
    this.#api.reconsider();
    this.#deliveries.update(subscriptions);
  }

  drain(): void {
    this.#api.drain();
    this.#drained ??= this.#deliveries.drain(this.#drainMs);
  }

  /** The link goes last: what was acknowledged at the end has to be told. */
  async finish(): Promise<void> {
    this.drain();
    await this.#drained;
    clearInterval(this.#reporting);
    this.#report();
    await this.#link.close();
  }

  /** Only what differs from what was told last. */
  #report(): void {
    const report: BridgeReport = {
      link: this.#link.report,
      deliveries: this.#deliveries.reports,
      problems: this.#deliveries.problems,
      calls: this.#api.calls,
    };
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#onReport(report);
  }
}
