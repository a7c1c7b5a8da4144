import type { Link } from '../link.ts';
import type { MessageProblem } from '../problem.ts';

/** The few calls of the JetStream API (ADR-1, ADR-37) that deliveries need, without the library: a worker has no use for the rest. */

const ASK_MS = 5000;
const NOT_FOUND: ReadonlySet<number> = new Set([10059, 10014, 10037]);

/** The server says no. */
export class ApiRefusal extends Error {
  readonly code: number;

  constructor(what: string, code: number, description: string) {
    super(`${what}: ${description}`);
    this.code = code;
  }

  /** There is no such stream, consumer or message. */
  get notFound(): boolean {
    return NOT_FOUND.has(this.code);
  }
}

/** The call did not come through. */
export class NoAnswer extends Error {
  readonly problem: MessageProblem;

  constructor(what: string, problem: MessageProblem) {
    super(`${what}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** What is read of a stream. */
export interface StreamSummary {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly replicas: number;
}

/** As the API has it; times in nanoseconds. */
export interface ConsumerConfig {
  readonly durable_name?: string;
  readonly name?: string;
  readonly description?: string;
  readonly deliver_policy?: string;
  readonly ack_policy?: string;
  readonly ack_wait?: number;
  readonly max_deliver?: number;
  readonly max_ack_pending?: number;
  readonly inactive_threshold?: number;
  readonly filter_subject?: string;
  readonly filter_subjects?: readonly string[];
  readonly replay_policy?: string;
  readonly pause_until?: string;
}

export interface ConsumerInfo {
  readonly config: ConsumerConfig;
  readonly num_pending: number;
  readonly num_ack_pending: number;
  /** Pulls that wait for messages. */
  readonly num_waiting: number;
  readonly paused?: boolean;
  readonly delivered: { readonly consumer_seq: number };
  readonly ack_floor: { readonly stream_seq: number };
}

interface StreamInfo {
  readonly config: { readonly name: string; readonly subjects?: readonly string[]; readonly num_replicas?: number };
}

interface ApiAnswer {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string };
}

export class JetStreamApi {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Those that bind subjects which the pattern matches, too. */
  async streamsOf(pattern: string): Promise<readonly StreamSummary[]> {
    const { streams } = await this.#ask<{ readonly streams?: readonly StreamInfo[] }>('STREAM.LIST', {
      subject: pattern,
    });
    return (streams ?? []).map(summaryOf);
  }

  async stream(name: string): Promise<StreamSummary> {
    return summaryOf(await this.#ask<StreamInfo>(`STREAM.INFO.${name}`, undefined));
  }

  async createStream(config: { readonly name: string; readonly [option: string]: unknown }): Promise<void> {
    await this.#ask(`STREAM.CREATE.${config.name}`, config);
  }

  consumer(stream: string, name: string): Promise<ConsumerInfo> {
    return this.#ask<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`, undefined);
  }

  /** Makes it, or changes the one that has its name. */
  putConsumer(stream: string, name: string, config: ConsumerConfig): Promise<ConsumerInfo> {
    return this.#ask<ConsumerInfo>(`CONSUMER.CREATE.${stream}.${name}`, { stream_name: stream, config });
  }

  /** When the stream took the first message from this sequence on that the pattern matches; undefined: there is none. */
  async storedMs(stream: string, sequence: number, pattern: string): Promise<number | undefined> {
    try {
      const { message } = await this.#ask<{ readonly message: { readonly time: string } }>(`STREAM.MSG.GET.${stream}`, {
        seq: sequence,
        next_by_subj: pattern,
      });
      return Date.parse(message.time);
    } catch (error) {
      if (error instanceof ApiRefusal && error.notFound) return undefined;
      throw error;
    }
  }

  /** The header block of a message, as the stream has it; empty: it has none. */
  async headersOf(stream: string, sequence: number): Promise<string> {
    const { message } = await this.#ask<{ readonly message: { readonly hdrs?: string } }>(`STREAM.MSG.GET.${stream}`, {
      seq: sequence,
    });
    return Buffer.from(message.hdrs ?? '', 'base64').toString('latin1');
  }

  #ask<T>(call: string, body: object | undefined): Promise<T> {
    const message = {
      subject: `$JS.API.${call}`,
      headers: undefined,
      body: Buffer.from(body === undefined ? '' : JSON.stringify(body)),
    };
    return new Promise((resolve, reject) => {
      this.#link.request(message, ASK_MS, (problem, answer) => {
        if (problem !== undefined || answer === undefined) {
          reject(new NoAnswer(call, problem!));
          return;
        }
        try {
          const parsed = JSON.parse(answer.string()) as T & ApiAnswer;
          const { error } = parsed;
          if (error === undefined) resolve(parsed);
          else reject(new ApiRefusal(call, error.err_code ?? error.code, error.description ?? `error ${error.code}`));
        } catch {
          reject(new ApiRefusal(call, 0, 'Expected JSON from the server, got something else'));
        }
      });
    });
  }
}

function summaryOf({ config: { name, subjects, num_replicas: replicas } }: StreamInfo): StreamSummary {
  return { name, subjects: subjects ?? [], replicas: replicas ?? 1 };
}
