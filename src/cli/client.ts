import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { harmless } from '../lib/shown.ts';
import type {
  BackendsAnswer,
  BridgeAnswer,
  ConfigAnswer,
  DeliveriesAnswer,
  DiscoveryAnswer,
  EndpointsAnswer,
  ExplainAnswer,
  GenerationsAnswer,
  LogLevelAnswer,
  ProblemsAnswer,
  RoutesAnswer,
  ServicesAnswer,
  StatsAnswer,
  TapFilter,
  TapRecord,
  TraceProbeAnswer,
} from '../model/admin.ts';
import type { ExplainQuestion } from '../model/explanation.ts';
import * as answers from './client/answers.ts';
import { EventReader } from './events.ts';
import { addressOf, bodyOf, openAnswer } from './http.ts';
import type { Shape } from './client/shape.ts';
import { CommandEnd, EXIT_UNREAD } from './exit.ts';

export const ADMIN_URL = 'http://127.0.0.1:4192';

/** For a whole answer. */
const ANSWER_MS_MAX = 10_000;
/** A probe span waits for the exporter, which waits for its collector. */
const PROBE_MS_MAX = 30_000;
/** Ten thousand endpoints need 4 MiB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** An answer that refuses is told in part. */
const REFUSAL_LENGTH_MAX = 200;

/** The node does not answer, or not as a node does. The message says what to do. */
export class AdminError extends CommandEnd {
  override readonly name: string = 'AdminError';

  constructor(message: string, options?: ErrorOptions) {
    super(message, EXIT_UNREAD, options);
  }
}

interface Ask {
  readonly method?: 'GET' | 'PUT' | 'POST';
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Asks the admin API of a node. All that comes from there is checked for its form, so that whatever listens on that port can
 * do no more than be complained about; its texts are as they came, and go to a terminal only made harmless.
 */
export class AdminClient {
  readonly #url: URL;
  readonly #answerMsMax: number;

  /**
   * @param url `http://HOST:PORT`. Throws a TypeError for anything else.
   * @param answerMsMax for a whole answer; one span on its way may take longer
   */
  constructor(url: string, answerMsMax = ANSWER_MS_MAX) {
    this.#url = addressOf(url, ADMIN_URL);
    this.#answerMsMax = answerMsMax;
  }

  get url(): string {
    return this.#url.origin;
  }

  services(): Promise<ServicesAnswer> {
    return this.#ask('/services', answers.servicesAnswer);
  }

  backends(): Promise<BackendsAnswer> {
    return this.#ask('/backends', answers.backendsAnswer);
  }

  endpoints(): Promise<EndpointsAnswer> {
    return this.#ask('/endpoints', answers.endpointsAnswer);
  }

  routes(): Promise<RoutesAnswer> {
    return this.#ask('/routes', answers.routesAnswer);
  }

  problems(): Promise<ProblemsAnswer> {
    return this.#ask('/problems', answers.problemsAnswer);
  }

  /** What happens to a request, and why. */
  explain(question: ExplainQuestion): Promise<ExplainAnswer> {
    return this.#ask('/explain', answers.explainAnswer, { method: 'POST', body: question });
  }

  discovery(): Promise<DiscoveryAnswer> {
    return this.#ask('/discovery', answers.discoveryAnswer);
  }

  stats(): Promise<StatsAnswer> {
    return this.#ask('/stats', answers.statsAnswer);
  }

  bridge(): Promise<BridgeAnswer> {
    return this.#ask('/bridge', answers.bridgeAnswer);
  }

  deliveries(): Promise<DeliveriesAnswer> {
    return this.#ask('/deliveries', answers.deliveriesAnswer);
  }

  config(): Promise<ConfigAnswer> {
    return this.#ask('/config', answers.configAnswer);
  }

  generations(): Promise<GenerationsAnswer> {
    return this.#ask('/generations', answers.generationsAnswer);
  }

  logLevel(): Promise<LogLevelAnswer> {
    return this.#ask('/log-level', answers.logLevelAnswer);
  }

  setLogLevel(level: LogLevelAnswer['level']): Promise<LogLevelAnswer> {
    const body: LogLevelAnswer = { level };
    return this.#ask('/log-level', answers.logLevelAnswer, { method: 'PUT', body });
  }

  /** Sends one span on its way and tells where it came to. */
  probeTrace(): Promise<TraceProbeAnswer> {
    return this.#ask('/trace-probe', answers.traceProbeAnswer, { method: 'POST', timeoutMs: PROBE_MS_MAX });
  }

  /** The reasons why the node is not ready; empty: it is. */
  async unready(): Promise<string> {
    const { status, body } = await this.#exchange('/readyz', {});
    if (status !== 200 && status !== 503) throw this.#refused('GET /readyz', { status, body });
    return status === 200 ? '' : body.trim();
  }

  /** The text of Prometheus' series. */
  async metrics(): Promise<string> {
    const answer = await this.#exchange('/metrics', {});
    if (answer.status !== 200) throw this.#refused('GET /metrics', answer);
    return answer.body;
  }

  /**
   * Hands over exchanges as they end, until `signal` is aborted. Nothing more is read while `onRecord` waits, so that a slow
   * reader makes the node drop records instead of this process collect them; `onDropped` is told how many.
   */
  async tap(
    filter: TapFilter,
    onRecord: (record: TapRecord) => void | Promise<void>,
    signal: AbortSignal,
    onDropped?: (count: number) => void,
  ): Promise<void> {
    try {
      const query = new URLSearchParams(Object.entries(filter).map(([name, value]) => [name, String(value)]));
      const response = await this.#open(`/tap?${query.toString()}`, {}, signal);
      if (response.statusCode !== 200) throw this.#refused('GET /tap', await this.#collect(response));
      const decoder = new StringDecoder('utf8');
      const events = new EventReader();
      for await (const chunk of response) {
        for (const { type, data } of events.read(decoder.write(chunk as Buffer))) {
          if (signal.aborted) return;
          if (type === 'message') await onRecord(this.#parse('/tap', data, answers.tapRecord));
          else if (type === 'dropped') onDropped?.(this.#parse('/tap', data, answers.droppedEvent).count);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      throw this.#explained(error);
    }
    if (!signal.aborted) throw new AdminError(`The node at ${this.url} has ended the stream of exchanges`);
  }

  async #ask<T>(path: string, shape: Shape<T>, ask: Ask = {}): Promise<T> {
    const answer = await this.#exchange(path, ask);
    if (answer.status !== 200) throw this.#refused(`${ask.method ?? 'GET'} ${path}`, answer);
    return this.#parse(path, answer.body, shape);
  }

  async #exchange(path: string, ask: Ask): Promise<Answer> {
    // The time is that of the whole answer: one octet a second keeps no command.
    const signal = AbortSignal.timeout(ask.timeoutMs ?? this.#answerMsMax);
    try {
      return await this.#collect(await this.#open(path, ask, signal));
    } catch (error) {
      throw this.#explained(error, signal.aborted);
    }
  }

  #open(path: string, ask: Ask, signal: AbortSignal): Promise<IncomingMessage> {
    const { method = 'GET', body, timeoutMs = this.#answerMsMax } = ask;
    const headers = {
      accept: 'application/json, text/event-stream;q=0.9, */*;q=0.1',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const json = body === undefined ? undefined : JSON.stringify(body);
    return openAnswer(new URL(path, this.#url), { method, headers, body: json, timeoutMs, signal });
  }

  async #collect(response: IncomingMessage): Promise<Answer> {
    const body = await bodyOf(response, ANSWER_BYTES_MAX);
    return { status: response.statusCode ?? 0, body: body.toString('utf8') };
  }

  #parse<T>(path: string, body: string, shape: Shape<T>): T {
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch (error) {
      throw this.#foreign(path, 'expected JSON, got something else', error);
    }
    const fault = shape(value, '');
    if (fault !== undefined) throw this.#foreign(path, fault);
    return value as T;
  }

  #explained(error: unknown, late = false): AdminError {
    if (error instanceof AdminError) return error;
    if (error instanceof RangeError) return this.#foreign('', `expected ${error.message}`, error);
    const { name, code = name } = error as NodeJS.ErrnoException;
    // A time that is over shows in many ways, depending on how far the answer had come.
    const reason = late || name === 'TimeoutError' ? 'no answer in time' : code;
    return new AdminError(
      `Nothing answers at ${this.url} (${harmless(reason)}): is a node running here?\n` +
        `In a cluster: kubectl exec -n heddle ds/heddle -- heddle services\n` +
        `Elsewhere: --admin URL, or HEDDLE_ADMIN`,
      { cause: error },
    );
  }

  #refused(what: string, { status, body }: Answer): AdminError {
    const said = body.trim() === '' ? '' : `: ${harmless(body.trim().slice(0, REFUSAL_LENGTH_MAX))}`;
    return new AdminError(`${this.url} answers ${what} with status ${status}${said}`);
  }

  #foreign(path: string, fault: string, cause?: unknown): AdminError {
    return new AdminError(`What answers at ${this.url}${path} is no node of this version: ${harmless(fault)}`, {
      cause,
    });
  }
}
