import { once } from 'node:events';
import { Option, type Command } from 'commander';
import { harmless, shown } from '../lib/shown.ts';
import type { TapFilter, TapMessage, TapRecord } from '../model/admin.ts';
import type { AdminClient } from './client.ts';
import {
  askingCommand,
  chosen,
  choiceOf,
  jsonLine,
  outputOption,
  parseCount,
  parsed,
  serviceArgument,
  withExamples,
  type AskOptions,
} from './command.ts';
import { CommandEnd, EXIT_USAGE } from './exit.ts';
import { screenOf, styled, type Screen, type Style } from './screen.ts';

interface TapOptions extends AskOptions, Omit<TapFilter, 'service' | 'failedOnly'> {
  readonly failed?: true;
  readonly count?: number;
}

/** `heddle tap` */
export function tapCommand(): Command {
  const command = askingCommand('tap', { summary: 'Exchanges as they end, one line each, until Ctrl-C' })
    .addArgument(serviceArgument())
    .option('--method <METHOD>', 'with this method only')
    .option('--path <PREFIX>', 'whose path begins so')
    .addOption(
      new Option('--status <STATUS>', 'with this status only: 404, or a class such as 5xx').argParser(
        parsed(parseStatus),
      ),
    )
    .option('--failed', 'only those that the mesh failed, or with a status from 500 on')
    .addOption(new Option('--sample <SHARE>', 'this share of what matches: 10% or 0.1').argParser(parsed(parseShare)))
    .addOption(new Option('--count <N>', 'so many, then end').argParser(parsed(parseCount)))
    .addOption(outputOption())
    .action(async (given: string | undefined, options: TapOptions) => {
      const { admin, method, path, status, failed, sample } = options;
      const service = given === undefined ? undefined : await fullName(admin, given);
      const filter: TapFilter = {
        ...(service === undefined ? {} : { service }),
        ...(method === undefined ? {} : { method }),
        ...(path === undefined ? {} : { path }),
        ...(status === undefined ? {} : { status }),
        ...(failed === undefined ? {} : { failedOnly: true }),
        ...(sample === undefined ? {} : { sample }),
      };
      await watch(filter, options);
    });
  return withExamples(
    command,
    [
      ['heddle tap', 'all that the node carries'],
      ['heddle tap shop/orders --failed', 'what goes wrong at one Service'],
      ['heddle tap --method POST --path /pay --sample 10%', 'every tenth payment'],
      ['heddle tap --status 5xx --count 1 -o json', 'the next failure, with its header lines'],
    ],
    { 0: 'ended by Ctrl-C, by --count, or by whoever read the output' },
  );
}

async function watch(
  filter: TapFilter,
  { admin, output, count = Number.POSITIVE_INFINITY }: TapOptions,
): Promise<void> {
  const end = new AbortController();
  // For good: a launcher passes on what the terminal has sent to both, so that Ctrl-C comes twice.
  process.on('SIGINT', () => end.abort());
  const screen = screenOf(process.stdout);
  let left = count;
  await admin.tap(
    filter,
    async (record) => {
      const line = output === 'json' ? jsonLine(record) : tapLine(record, screen);
      // What the reader has not taken yet keeps the node from sending more.
      if (!process.stdout.write(line)) await once(process.stdout, 'drain', { signal: end.signal });
      left--;
      if (left === 0) end.abort();
    },
    end.signal,
    (dropped) => process.stderr.write(`${dropped} exchanges were left out: their reader is too slow\n`),
  );
}

/** One line: when, how it ended, how long it took, from whom, what was asked, and where it went. */
function tapLine(record: TapRecord, screen: Screen): string {
  const { time, status, durationMs, source, method, authority, path, backend, rule, endpoint } = record;
  const { failure, detail, attempts, attemptFailures, waitedMs, message, traceId } = record;
  const parts = [
    // The day is known to whoever watches.
    harmless(/T([\d:.]+)Z$/.exec(time)?.[1] ?? time),
    styled(status === 0 ? '---' : String(status), statusStyle(record), screen),
    `${durationMs.toFixed(1)}ms`.padStart(9),
    harmless(source),
    harmless(method),
    harmless(`${authority}${path}`),
    screen.unicode ? '→' : '->',
    harmless(backend === '' ? 'no Service' : backend),
    harmless(endpoint),
    rule === '' ? '' : harmless(`by ${rule}`),
    failure === '' ? '' : styled(harmless(failure), 'red', screen),
    detail === '' ? '' : harmless(`(${detail})`),
    attempts > 1 ? `attempts=${attempts}` : '',
    attemptFailures === '' ? '' : harmless(`failed=${attemptFailures.replaceAll(' ', ',')}`),
    waitedMs === 0 ? '' : `waited=${waitedMs.toFixed(1)}ms`,
    message === null ? '' : harmless(messageText(message)),
    traceId === '' ? '' : harmless(`trace=${traceId}`),
  ];
  return `${parts.filter((part) => part !== '').join(' ')}\n`;
}

/** `process Service shop/orders ORDERS:17 ok attempt=2` */
function messageText({ operation, destination, stream, sequence, messages, result, attempt }: TapMessage): string {
  const parts = [
    operation,
    destination,
    stream === '' ? '' : `${stream}:${sequence}`,
    messages === 1 ? '' : `messages=${messages}`,
    result,
    attempt > 1 ? `attempt=${attempt}` : '',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function statusStyle({ status, failure }: TapRecord): Style {
  if (failure !== '' || status >= 500 || status === 0) return 'red';
  if (status >= 400) return 'yellow';
  return status >= 300 ? 'cyan' : 'green';
}

/** The node filters by the whole name. */
async function fullName(admin: AdminClient, given: string): Promise<string> {
  const { services } = await admin.services();
  const rows = chosen(services, choiceOf(given, undefined), { ownerOf: (row) => row, known: services });
  const names = rows.map(({ namespace, name }) => `${namespace}/${name}`);
  if (names.length === 1) return names[0]!;
  throw new CommandEnd(`Expected one Service, got ${names.map(shown).join(' and ')}: say which`, EXIT_USAGE);
}

function parseStatus(text: string): string {
  if (/^[1-5](?:\d\d|xx)$/.test(text)) return text;
  throw new Error(`Expected a status such as 404 or 5xx, got ${shown(text)}`);
}

function parseShare(text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(text);
  const share = match === null ? 0 : Number(match[1]) / (match[2] === '' ? 1 : 100);
  if (share > 0 && share <= 1) return share;
  throw new Error(`Expected a share such as 10% or 0.1, got ${shown(text)}`);
}
