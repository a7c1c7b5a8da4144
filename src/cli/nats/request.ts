import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { Option, type Command } from 'commander';
import { parseDuration } from '../../lib/duration.ts';
import { harmless, shown } from '../../lib/shown.ts';
import { jsonLine, outputOption, parseCount, parsed, withExamples } from '../command.ts';
import { CommandEnd, EXIT_USAGE, EXIT_WRONG } from '../exit.ts';
import { bridgeCommand, BridgeRefusal, objectOf, textOf, type BridgeClient, type BridgeOptions } from './client.ts';
import { dataOf, received } from './incoming.ts';
import { bodyGiven, headerOption, SEND_EXIT_CODES, type GivenHeaders } from './outgoing.ts';

const NDJSON = 'application/x-ndjson';
const TIMEOUT_MS = 5000;
const TIMEOUT_MAX_MS = 300_000;
/** What the bridge may need beyond, to say that nobody has answered. */
const SLACK_MS = 5000;
const LINE_LENGTH_MAX = 64 * 1024 * 1024;

interface RequestOptions extends BridgeOptions {
  readonly timeout: number;
  readonly many?: true;
  readonly count?: number;
  readonly header?: GivenHeaders;
  readonly output: 'table' | 'json';
}

/** `heddle nats req` */
export function requestCommand(): Command {
  const command = bridgeCommand('req', 'Send a request, and print the reply as it is')
    .argument('<SUBJECT>', 'where to, as prices.get')
    .argument('[BODY]', 'what; - is standard input; default: nothing')
    .addOption(
      new Option('--timeout <DURATION>', 'how long to wait for replies, up to 5m')
        .argParser(parsed(parseTimeout))
        .default(TIMEOUT_MS, '5s'),
    )
    .option('--many', 'all replies that come until then, a line each')
    .addOption(new Option('--count <N>', 'with --many: so many, then end').argParser(parsed(parseCount)))
    .addOption(headerOption())
    .addOption(outputOption())
    .action(request);
  return withExamples(
    command,
    [
      ['heddle nats req prices.get tea', 'the reply, on standard output'],
      ['heddle nats req prices.get - --timeout 30s < ask.json', 'with a longer wait'],
      ['heddle nats req services.ping --many --timeout 1s -o json', 'whoever answers within a second'],
    ],
    { 0: 'a reply came', ...SEND_EXIT_CODES },
  );
}

function parseTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0 && ms <= TIMEOUT_MAX_MS) return ms;
  throw new Error(`Expected a duration up to 5m, got ${shown(text)}`);
}

async function request(subject: string, body: string | undefined, options: RequestOptions): Promise<void> {
  const { bridge, timeout, many, count, header = {}, output } = options;
  if (count !== undefined && many === undefined)
    throw new CommandEnd('--count: Expected --many beside it, got none', EXIT_USAGE);
  const query = count === undefined ? '' : `?max=${count}`;
  const answer = await bridge.ask(`/v1/request/${encodeURIComponent(subject)}${query}`, {
    method: 'POST',
    headers: { ...header, prefer: `wait=${timeout / 1000}`, ...(many === undefined ? {} : { accept: NDJSON }) },
    body: await bodyGiven(body),
    timeoutMs: timeout + SLACK_MS,
    silentMs: timeout + SLACK_MS,
    sends: true,
  });
  if (many === undefined) await tellOne(bridge, answer, output);
  else await tellMany(answer, output);
}

async function tellOne(bridge: BridgeClient, answer: IncomingMessage, output: 'table' | 'json'): Promise<void> {
  const data = await bridge.read(answer, true);
  const { 'nats-service-error-code': code, 'nats-service-error': error } = answer.headers;
  if (output === 'json') process.stdout.write(jsonLine({ data: data.toString('utf8'), headers: answer.headers }));
  else process.stdout.write(received(data, process.stdout.isTTY));
  // The convention of NATS services (ADR-32) for a reply that is an error.
  if (code !== undefined)
    throw new CommandEnd(`The service answers with error ${textOf(code)}: ${textOf(error)}`, EXIT_WRONG);
}

async function tellMany(answer: IncomingMessage, output: 'table' | 'json'): Promise<void> {
  let rest = '';
  let replies = 0;
  answer.setEncoding('utf8');
  for await (const piece of answer as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    if (rest.length > LINE_LENGTH_MAX)
      throw new CommandEnd('Expected shorter replies, got one without end', EXIT_WRONG);
    for (const line of lines) {
      const reply = objectOf(line);
      if (reply === undefined) continue;
      if (reply['outcome'] !== undefined) throw new BridgeRefusal(reply, false);
      replies++;
      const text = output === 'json' ? jsonLine(reply) : `${harmless(dataOf(reply))}\n`;
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    }
  }
  if (replies === 0) throw new CommandEnd('Nobody has replied in time', EXIT_WRONG);
}
