import { setTimeout as sleep } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { shown } from '../lib/shown.ts';
import { AdminError, type AdminClient } from './client.ts';
import {
  askingCommand,
  chosen,
  choiceOf,
  namespaceOption,
  outputOption,
  parseCount,
  parsed,
  serviceArgument,
  withExamples,
  writeJson,
  writeTable,
  type AskOptions,
  type Choice,
} from './command.ts';
import { Live } from './live.ts';
import { byService, ratesBetween, type BackendRates, type Look } from './rates.ts';
import { RATES_COLUMNS } from './rates-table.ts';
import { table } from './table.ts';

const LOOK_MS_MIN = 100;
const LOOK_MS_MAX = 3_600_000;

interface LookOptions extends AskOptions {
  readonly namespace?: string;
  readonly by: 'service' | 'port';
}

/** `heddle stat` */
export function statCommand(): Command {
  const command = lookingCommand('stat', 'Success, requests per second and durations of Services, over some seconds')
    .addOption(outputOption())
    .addOption(durationOption('--for <DURATION>', 'how long to look', '5s'))
    .action(async (given: string | undefined, options: LookOptions & { readonly for: number }) => {
      const { admin, output, namespace } = options;
      const choice = choiceOf(given, namespace);
      const before = await look(admin, options);
      // A name that is not known is told at once.
      await checkChoice(admin, choice, before);
      await sleep(options.for);
      const rates = meant(ratesBetween(before, await look(admin, options)), choice);
      if (output === 'json') writeJson({ forMs: options.for, rates });
      else writeTable(RATES_COLUMNS, rates, 'No requests yet');
    });
  return withExamples(command, [
    ['heddle stat', 'all Services over the next five seconds'],
    ['heddle stat shop/orders --for 1m --by port', 'each port of one Service over a minute'],
    ['heddle stat -o json', 'for a program; rates are per second, success from 0 to 1'],
  ]);
}

/** `heddle top` */
export function topCommand(): Command {
  const command = lookingCommand('top', 'The same, live: the busiest first, until q or Ctrl-C')
    .addOption(durationOption('--every <DURATION>', 'how often to look', '1s'))
    .addOption(new Option('--count <N>', 'so many times, then end').argParser(parsed(parseCount)))
    .action(async (given: string | undefined, options: TopOptions) => {
      const choice = choiceOf(given, options.namespace);
      await checkChoice(options.admin, choice, await look(options.admin, options));
      const end = new AbortController();
      const release = endOnKeys(end);
      const live = new Live(process.stdout);
      try {
        await watch(choice, options, { live, signal: end.signal });
      } finally {
        live.end();
        release();
      }
    });
  return withExamples(
    command,
    [
      ['heddle top', 'all Services, drawn anew each second'],
      ['heddle top --count 3 --every 10s > load.txt', 'three tables, one after the other'],
    ],
    { 0: 'it was told, or ended by q or Ctrl-C' },
  );
}

interface TopOptions extends LookOptions {
  readonly every: number;
  readonly count?: number;
}

function lookingCommand(name: string, summary: string): Command {
  return askingCommand(name, { summary })
    .addArgument(serviceArgument())
    .addOption(namespaceOption())
    .addOption(new Option('--by <WHAT>', 'a row for each').choices(['service', 'port']).default('service'));
}

function durationOption(flags: string, means: string, preset: string): Option {
  return new Option(flags, means).default(parseDuration(preset)!, preset).argParser(
    parsed((text) => {
      const durationMs = parseDuration(text);
      if (durationMs !== undefined && durationMs >= LOOK_MS_MIN && durationMs <= LOOK_MS_MAX) return durationMs;
      throw new Error(
        `Expected a duration from ${formatDuration(LOOK_MS_MIN)} to ${formatDuration(LOOK_MS_MAX)}, got ${shown(text)}`,
      );
    }),
  );
}

async function look(admin: AdminClient, { by }: Pick<LookOptions, 'by'>): Promise<Look> {
  const stats = await admin.stats();
  return by === 'service' ? byService(stats) : stats;
}

/** A Service that got no request yet is known all the same. */
async function checkChoice(admin: AdminClient, choice: Choice, { backends }: Look): Promise<void> {
  if (choice.service === undefined && choice.namespace === undefined) return;
  const known = [...backends, ...(await admin.services()).services];
  chosen([], choice, { ownerOf: (row) => row, known });
}

/** Those that are meant. What found no Service has a row only where there is such traffic. */
function meant(rates: readonly BackendRates[], choice: Choice): readonly BackendRates[] {
  return rates.filter(
    ({ namespace, name, rps, active }) =>
      (choice.service ?? name) === name &&
      (choice.namespace ?? namespace) === namespace &&
      (namespace !== '' || rps > 0 || active > 0),
  );
}

async function watch(
  choice: Choice,
  options: TopOptions,
  { live, signal }: { live: Live; signal: AbortSignal },
): Promise<void> {
  let before = await look(options.admin, options);
  let rates: readonly BackendRates[] = [];
  for (let left = options.count ?? Number.POSITIVE_INFINITY; left > 0; left--) {
    await sleep(options.every, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    let trouble = '';
    try {
      const after = await look(options.admin, options);
      rates = meant(ratesBetween(before, after), choice).toSorted((a, b) => b.rps - a.rps);
      before = after;
    } catch (error) {
      // Whoever watches wants to see the node come back.
      if (!(error instanceof AdminError) || !process.stdout.isTTY) throw error;
      trouble = `${error.message.split('\n')[0]}\n`;
    }
    const foot = process.stdout.isTTY ? `${trouble}q ends\n` : '';
    live.draw((screen) => `${table(RATES_COLUMNS, rates, screen)}\n${foot}`);
  }
}

/** q, Ctrl-C and Ctrl-D: in raw mode they are keys like others. */
const END_KEYS = ['q', 'Q', '\u0003', '\u0004'];

/** Ctrl-C ends as q does; on a terminal keys are read as they come. @returns what gives the terminal back */
function endOnKeys(end: AbortController): () => void {
  // For good: a launcher passes on what the terminal has sent to both, so that Ctrl-C comes twice.
  process.on('SIGINT', () => end.abort());
  const { stdin } = process;
  const onKey = (keys: Buffer): void => {
    if (END_KEYS.some((key) => keys.includes(key))) end.abort();
  };
  const keyed = stdin.isTTY && process.stdout.isTTY;
  if (keyed) stdin.setRawMode(true).on('data', onKey).resume();
  return () => {
    if (keyed) stdin.setRawMode(false).off('data', onKey).pause();
  };
}
