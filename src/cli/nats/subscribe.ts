import { once } from 'node:events';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import { harmless } from '../../lib/shown.ts';
import { EventReader, type ServerEvent } from '../events.ts';
import { jsonLine, outputOption, parseCount, parsed, withExamples } from '../command.ts';
import { CommandEnd, EXIT_UNREAD, EXIT_USAGE } from '../exit.ts';
import { bridgeCommand, BridgeRefusal, objectOf, textOf, type BridgeClient, type BridgeOptions } from './client.ts';
import { messageLine } from './incoming.ts';

const BEGIN_MS = 10_000;
/** The bridge lets hear of itself every 15 s. */
const SILENT_MS = 45_000;
const AGAIN_MS = 2000;
const EVENT_LENGTH_MAX = 64 * 1024 * 1024;

interface SubscribeOptions extends BridgeOptions {
  readonly stream?: string;
  readonly from?: string;
  readonly count?: number;
  readonly output: 'table' | 'json';
}

/** `heddle nats sub` */
export function subscribeCommand(): Command {
  const command = bridgeCommand('sub', 'Messages as they come, one line each, until Ctrl-C')
    .argument('[PATTERN...]', "subjects, with the wildcards * and > ('demo.>'); with --stream default: all of it")
    .option('--stream <NAME>', 'what this stream keeps: none is left out, also where the connection breaks')
    .addOption(
      new Option(
        '--from <WHERE>',
        'with --stream: new, first, last, last-per-subject, a sequence, or a time; default: new',
      ),
    )
    .addOption(new Option('--count <N>', 'so many, then end').argParser(parsed(parseCount)))
    .addOption(outputOption())
    .action(subscribe);
  return withExamples(
    command,
    [
      ["heddle nats sub 'demo.>'", 'whatever is published there from now on'],
      ["heddle nats sub 'orders.*' 'users.*' -o json", 'two patterns, for a program'],
      ['heddle nats sub --stream ORDERS --from first', 'what the stream keeps, then what comes'],
      ['heddle nats sub demo.orders.created --count 1', 'the next one, then end'],
    ],
    {
      0: 'ended by Ctrl-C, by --count, or by whoever read the output',
      1: 'the bridge said no: the message says why',
      3: 'no bridge answers',
    },
  );
}

async function subscribe(patterns: readonly string[], options: SubscribeOptions): Promise<void> {
  const { bridge, stream, from, output, count = Number.POSITIVE_INFINITY } = options;
  if (stream === undefined && patterns.length === 0)
    throw new CommandEnd("Expected a pattern such as 'demo.>', or --stream, got neither", EXIT_USAGE);
  if (stream !== undefined && patterns.length > 1)
    throw new CommandEnd(`Expected one pattern with --stream, got ${patterns.length}`, EXIT_USAGE);
  if (stream === undefined && from !== undefined)
    throw new CommandEnd('--from: Expected --stream beside it, got none', EXIT_USAGE);
  const end = new AbortController();
  // For good: a launcher passes on what the terminal has sent to both, so that Ctrl-C comes twice.
  process.on('SIGINT', () => end.abort());
  let left = count;
  const onMessage = async (message: Readonly<Record<string, unknown>>): Promise<void> => {
    const line = output === 'json' ? jsonLine(message) : `${harmless(messageLine(message))}\n`;
    left--;
    // What the reader has not taken yet keeps the bridge from sending more.
    if (!process.stdout.write(line)) await once(process.stdout, 'drain', { signal: end.signal });
    if (left === 0) end.abort();
  };
  await new Following(bridge, pathOf(patterns, stream, from), end.signal).run(onMessage);
}

function pathOf(patterns: readonly string[], stream: string | undefined, from: string | undefined): string {
  const name = stream === undefined ? 'subject' : 'filter';
  const query = new URLSearchParams(patterns.map((pattern) => [name, pattern]));
  if (from !== undefined) query.set('from', from);
  const path = stream === undefined ? '/v1/subscribe' : `/v1/streams/${encodeURIComponent(stream)}/events`;
  return `${path}?${query.toString()}`;
}

type OnMessage = (message: Readonly<Record<string, unknown>>) => Promise<void>;

/** Events of the bridge, over as many connections as it takes. */
class Following {
  readonly #bridge: BridgeClient;
  readonly #path: string;
  readonly #signal: AbortSignal;
  /** Of the last event that had one. */
  #id = '';
  #began = false;
  #againMs = AGAIN_MS;

  constructor(bridge: BridgeClient, path: string, signal: AbortSignal) {
    this.#bridge = bridge;
    this.#path = path;
    this.#signal = signal;
  }

  /** Resolves when the signal is aborted. Rejects where nothing answers at first, or when the bridge says no for good. */
  async run(onMessage: OnMessage): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#connection(onMessage);
      } catch (error) {
        // oxlint-disable-next-line typescript/no-unnecessary-condition -- aborted while it waited
        if (this.#signal.aborted) return;
        if (!this.#isPassing(error)) throw error;
        tell(`${(error as Error).message.split('\n')[0]}: trying again`);
      }
      await sleep(this.#againMs, undefined, { signal: this.#signal }).catch(() => {});
    }
  }

  async #connection(onMessage: OnMessage): Promise<void> {
    const response = await this.#bridge.ask(this.#path, {
      method: 'GET',
      headers: { accept: 'text/event-stream', ...(this.#id === '' ? {} : { 'last-event-id': this.#id }) },
      timeoutMs: BEGIN_MS,
      silentMs: SILENT_MS,
      signal: this.#signal,
      sends: false,
    });
    this.#began = true;
    const decoder = new StringDecoder('utf8');
    const events = new EventReader(EVENT_LENGTH_MAX);
    for await (const chunk of response) {
      for (const event of events.read(decoder.write(chunk as Buffer))) {
        if (this.#signal.aborted) return;
        await this.#take(event, onMessage);
        this.#id = event.id;
      }
      this.#againMs = events.retryMs ?? this.#againMs;
    }
  }

  async #take({ type, data }: ServerEvent, onMessage: OnMessage): Promise<void> {
    const value = objectOf(data) ?? {};
    if (type === 'message') await onMessage(value);
    else if (type === 'error') throw new BridgeRefusal(value, false);
    else if (type === 'gap') tell(`Messages are missing here: ${gapText(value)}`);
    else if (type === 'reset') tell('The stream is another one than before: it begins anew');
  }

  /** Once events have come, what breaks may be whole again; what the bridge refuses is refused. */
  #isPassing(error: unknown): boolean {
    if (!this.#began) return false;
    if (error instanceof BridgeRefusal) return error.retryable;
    return !(error instanceof CommandEnd) || error.exitCode === EXIT_UNREAD;
  }
}

/** Why, how many, or from where to where. */
function gapText({ reason, dropped, from, to }: Readonly<Record<string, unknown>>): string {
  if (typeof from === 'number' && typeof to === 'number') return `${from} to ${to} are no longer in the stream`;
  const count = typeof dropped === 'number' ? ` (${dropped})` : '';
  return `${textOf(reason)}${count}`;
}

function tell(line: string): void {
  process.stderr.write(`${harmless(line)}\n`);
}
