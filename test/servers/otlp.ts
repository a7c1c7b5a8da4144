import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { contents, goBuild, type Provided, provide } from './provide.ts';

const SOURCES = path.join(import.meta.dirname, 'otlp');
const START_MS = 15_000;

/** The OpenTelemetry Collector's decoder of traces as a server; see otlp/main.go. */
export function provideOtlpReceiver(): Promise<Provided> {
  return provide({
    name: 'otlp',
    key: contents(SOURCES),
    make: (folder) => goBuild(SOURCES, path.join(folder, 'otlp')),
  });
}

/** Attributes and the like stay as OTLP JSON has them. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status?: { readonly code?: number };
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
}

/** Values by name; numbers are text in OTLP JSON. */
export function attributesOf({ attributes }: Pick<ReceivedSpan, 'attributes'>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, 'intValue' in value ? Number(value['intValue']) : value['stringValue']]),
  );
}

interface ReceivedRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: ReceivedSpan['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly ReceivedSpan[] }[];
  }[];
}

export class OtlpReceiver {
  readonly #child: ChildProcess;
  readonly #origin: string;
  /** A test that dies takes it along. */
  readonly #onExit = (): void => void this.#child.kill('SIGKILL');

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.#origin = `http://${address}`;
    process.on('exit', this.#onExit);
  }

  /** @param folder of `provideOtlpReceiver`. */
  static async start(folder: string): Promise<OtlpReceiver> {
    const child = spawn(path.join(folder, 'otlp'), { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    try {
      const [address] = (await once(lines, 'line', { signal: AbortSignal.timeout(START_MS) })) as [string];
      return new OtlpReceiver(child, address);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  get endpoint(): URL {
    return new URL(this.#origin);
  }

  async requests(): Promise<readonly ReceivedRequest[]> {
    const reply = await fetch(`${this.#origin}/received`);
    return (await reply.json()) as readonly ReceivedRequest[];
  }

  /** All spans so far. */
  async spans(): Promise<readonly ReceivedSpan[]> {
    return (await this.requests()).flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    );
  }

  async stop(): Promise<void> {
    process.removeListener('exit', this.#onExit);
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
