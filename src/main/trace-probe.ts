import { randomBytes } from 'node:crypto';
import type { Exporter } from '../control/exporter.ts';
import type { Workers } from '../control/workers.ts';
import type { TraceProbeAnswer } from '../model/admin.ts';

const ARRIVAL_MS = 2000;

type Step = TraceProbeAnswer['steps'][number];

/** Sends one span on the way that all spans take, and tells where it was lost: the worker, the main thread, the collector. */
export class TraceProbe {
  readonly #workers: Workers;
  readonly #exporter: Exporter | undefined;
  readonly #awaited = new Map<string, () => void>();

  constructor(workers: Workers, exporter: Exporter | undefined) {
    this.#workers = workers;
    this.#exporter = exporter;
  }

  /** Spans that came from a worker. */
  see(bytes: Uint8Array): void {
    if (this.#awaited.size === 0) return;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const [traceId, arrived] of this.#awaited) if (text.includes(traceId)) arrived();
  }

  async run(): Promise<TraceProbeAnswer> {
    const traceId = randomBytes(16).toString('hex');
    const steps: Step[] = [];
    for await (const step of this.#walk(traceId)) {
      steps.push(step);
      if (!step.ok) break;
    }
    return { ok: steps.every(({ ok }) => ok), traceId, steps };
  }

  async *#walk(traceId: string): AsyncGenerator<Step> {
    const exporter = this.#exporter;
    if (exporter === undefined) {
      yield { step: 'setting', ok: false, text: 'Nothing is traced: --otlp-endpoint is not set' };
      return;
    }
    yield { step: 'setting', ok: true, text: '--otlp-endpoint is set' };
    const arrival = this.#arrival(traceId);
    const told = this.#workers.tellOne({ type: 'probe-trace', traceId });
    yield { step: 'worker', ok: told, text: told ? 'A worker made a span' : 'No worker has a plan' };
    const arrived = await arrival;
    const text = arrived ? 'The span came from the worker' : `The span did not come within ${ARRIVAL_MS} ms`;
    yield { step: 'main thread', ok: arrived, text };
    const probe = await exporter.probe(traceId);
    yield { step: `collector: ${probe.stage}`, ok: probe.ok, text: probe.text };
  }

  #arrival(traceId: string): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (arrived: boolean): void => {
        clearTimeout(timer);
        this.#awaited.delete(traceId);
        resolve(arrived);
      };
      const timer = setTimeout(end, ARRIVAL_MS, false);
      this.#awaited.set(traceId, () => {
        end(true);
      });
    });
  }
}
