import type { IncomingMessage } from 'node:http';
import { Option, type Command } from 'commander';
import { addressOf, bodyOf, openAnswer } from '../http.ts';
import { parsed, tellingCommand } from '../command.ts';
import { CommandEnd, EXIT_UNKNOWN, EXIT_UNREAD, EXIT_USAGE, EXIT_WRONG } from '../exit.ts';
import { MESSAGES_GROUP } from '../groups.ts';

const BRIDGE_URL = 'http://127.0.0.1:4280';

/** Of a problem document. */
const PROBLEM_BYTES_MAX = 64 * 1024;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const MEMBER_LENGTH_MAX = 500;

/** What became of what was to be sent, in the words of the bridge. */
const OUTCOMES: ReadonlyMap<unknown, string> = new Map([
  ['not-sent', 'Nothing was sent'],
  ['unknown', 'It may have arrived or not'],
  ['stored', 'It is stored nevertheless'],
]);

export interface BridgeAsk {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Until the answer begins. */
  readonly timeoutMs: number;
  readonly silentMs?: number;
  readonly signal?: AbortSignal;
  /** It sends a message, of which a failure has to say what became. */
  readonly sends: boolean;
}

/** The bridge says no. */
export class BridgeRefusal extends CommandEnd {
  override readonly name = 'BridgeRefusal';
  /** The same may succeed later. */
  readonly retryable: boolean;

  /** @param document as the bridge answers (RFC 9457), or anything that has come in its place */
  constructor(document: Readonly<Record<string, unknown>>, sends: boolean) {
    const { title, detail, code, outcome } = document;
    const lines = [`${textOf(title)} (${textOf(code)})`, textOf(detail)];
    if (sends) lines.push(OUTCOMES.get(outcome) ?? OUTCOMES.get('unknown')!);
    super(lines.filter((line) => line !== '').join('\n'), sends && outcome === 'unknown' ? EXIT_UNKNOWN : EXIT_WRONG);
    this.retryable = document['retryable'] === true;
  }
}

/** Asks the bridge of a node. Its texts are as they came, and go to a terminal only made harmless. */
export class BridgeClient {
  readonly #url: URL;

  /** @param url `http://HOST:PORT`. Throws a TypeError for anything else. */
  constructor(url: string) {
    this.#url = addressOf(url, BRIDGE_URL);
  }

  /** @returns an answer with a status below 300. Rejects with a CommandEnd for all others, and where nothing answers. */
  async ask(path: string, { signal, ...ask }: BridgeAsk): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      const always = signal ?? new AbortController().signal;
      response = await openAnswer(new URL(path, this.#url), { headers: {}, ...ask, signal: always });
    } catch (error) {
      throw this.#explained(error as NodeJS.ErrnoException, ask.sends);
    }
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    throw await this.#refusal(response, ask.sends);
  }

  /** The whole body of an answer. */
  async read(response: IncomingMessage, sends: boolean): Promise<Buffer> {
    try {
      return await bodyOf(response, ANSWER_BYTES_MAX);
    } catch (error) {
      throw this.#explained(error as NodeJS.ErrnoException, sends);
    }
  }

  async #refusal(response: IncomingMessage, sends: boolean): Promise<CommandEnd> {
    const body = await bodyOf(response, PROBLEM_BYTES_MAX).catch(() => Buffer.alloc(0));
    const document = objectOf(body.toString('utf8'));
    if (document?.['outcome'] !== undefined) return new BridgeRefusal(document, sends);
    // What is made before the bridge's API sees it (a head that is too long, say) says what failed, and not what became of it.
    const { title = `What answers at ${this.#url.origin} is no bridge of this version` } = document ?? {};
    const { failure: code = `status ${response.statusCode}` } = document ?? {};
    return new BridgeRefusal({ outcome: 'unknown', ...document, title, code }, sends);
  }

  #explained(error: NodeJS.ErrnoException, sends: boolean): CommandEnd {
    const { name, code = name, syscall = '' } = error;
    const reason = name === 'TimeoutError' ? 'no answer in time' : code;
    const { origin } = this.#url;
    if (sends && syscall !== 'connect' && syscall !== 'getaddrinfo') {
      const lines = [`${origin} has not answered (${reason})`, OUTCOMES.get('unknown')!];
      return new CommandEnd(lines.join('\n'), EXIT_UNKNOWN, { cause: error });
    }
    return new CommandEnd(
      `Nothing answers at ${origin} (${reason}): is a node running here, with --bridge-listen?\n` +
        'Elsewhere: --bridge URL, or HEDDLE_BRIDGE',
      EXIT_UNREAD,
      { cause: error },
    );
  }
}

export interface BridgeOptions {
  readonly bridge: BridgeClient;
}

/** A command that asks the bridge of a node. */
export function bridgeCommand(name: string, summary: string): Command {
  return tellingCommand(name, { summary, group: MESSAGES_GROUP })
    .addOption(
      new Option('--bridge <URL>', `bridge of the node; else HEDDLE_BRIDGE, else ${BRIDGE_URL}`).argParser(
        parsed((text) => new BridgeClient(text)),
      ),
    )
    .hook('preAction', (command) => {
      if (command.getOptionValue('bridge') === undefined) command.setOptionValue('bridge', bridgeOfEnvironment());
    });
}

function bridgeOfEnvironment(): BridgeClient {
  try {
    // An empty variable counts as absent, as with settings.
    return new BridgeClient(process.env['HEDDLE_BRIDGE'] || BRIDGE_URL);
  } catch (error) {
    throw new CommandEnd(`HEDDLE_BRIDGE: ${(error as Error).message}`, EXIT_USAGE, { cause: error });
  }
}

/** The object that a text is as JSON; undefined where it is none. */
export function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** A member that should be text. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MEMBER_LENGTH_MAX) : '';
}
