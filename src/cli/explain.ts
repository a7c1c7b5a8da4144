import { Argument, Option, type Command } from 'commander';
import { parseIp } from '../lib/ip.ts';
import { shown } from '../lib/shown.ts';
import { EXPLAIN_LIMITS, type ExplainQuestion } from '../model/explanation.ts';
import type { AdminClient } from './client.ts';
import {
  adminOfEnvironment,
  adminOption,
  outputOption,
  parsed,
  tellingCommand,
  withExamples,
  writeJson,
} from './command.ts';
import { CommandEnd, EXIT_USAGE, EXIT_WRONG } from './exit.ts';
import { story } from './explain/story.ts';
import { CHECK_GROUP } from './groups.ts';
import { screenOf } from './screen.ts';

interface ExplainOptions {
  readonly request: string;
  readonly header: readonly (readonly [name: string, value: string])[];
  readonly as: string;
  readonly file?: readonly string[];
  readonly admin?: AdminClient;
  readonly roll?: number;
  readonly seed?: number;
  readonly output: 'table' | 'json';
}

/** `heddle explain` */
export function explainCommand(): Command {
  const command = tellingCommand('explain', { summary: 'What happens to a request, and why', group: CHECK_GROUP })
    .addArgument(new Argument('<URL>', 'such as http://orders.shop/cart').argParser(parsed(parseUrl)))
    .option('-X, --request <METHOD>', 'method of the request', 'GET')
    .addOption(headerOption())
    .addOption(asOption())
    .addOption(
      new Option(
        '-f, --file <PATH...>',
        'folders or files of manifests; - reads standard input; asks no node',
      ).conflicts('admin'),
    )
    .addOption(adminOption())
    .addOption(rollOption())
    .addOption(seedOption())
    .addOption(outputOption())
    .action(async (url: string, options: ExplainOptions) => {
      const { request: method, header: headers, as, roll = null, seed = null, file, admin, output } = options;
      const question: ExplainQuestion = { method, url, headers, as, roll, seed };
      checkSize(question);
      const answer =
        file === undefined
          ? await (admin ?? adminOfEnvironment()).explain(question)
          : await (await import('./explain/offline.ts')).explainManifests(file, question);
      if (output === 'json') writeJson(answer);
      else process.stdout.write(story(answer, screenOf(process.stdout)));
      if (answer.explanation.outcome.does === 'fail') process.exitCode = EXIT_WRONG;
    });
  return withExamples(
    command,
    [
      ['heddle explain http://orders.shop/cart', 'as the node on this machine would do it'],
      ["heddle explain http://orders.shop/cart -X POST -H 'x-user: 7'", 'another method, and a header'],
      ['heddle explain http://orders/ --as shop/web', 'as a pod of that service account sends it'],
      ['heddle explain http://orders.shop/ --roll 0.93', 'where the dice say 0.93'],
      ['heddle explain http://orders.shop/ -f ./shop', 'by manifests that no node has yet'],
    ],
    { 1: 'the mesh would fail the request', 3: 'there were no manifests to read, or no node answers' },
  );
}

/** As it is written: what a URL parser makes of a path (`/a/../b`) is not what a client sends. */
function parseUrl(text: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (/^http:\/\/[^/?#]+(?:[/?][^#]*)?$/i.test(url)) return url;
  throw new Error(`Expected a URL such as http://orders.shop/cart, got ${shown(text)}`);
}

function headerOption(): Option {
  return new Option('-H, --header <LINE>', 'header of the request, "name: value"; may be repeated')
    .default([], 'none')
    .argParser((text: string, before: ExplainOptions['header']) => [...before, parsed(parseHeader)(text)]);
}

function parseHeader(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  if (colon > 0) return [text.slice(0, colon), text.slice(colon + 1).trim()];
  throw new Error(`Expected "name: value", got ${shown(text)}`);
}

function asOption(): Option {
  return new Option('--as <CLIENT>', 'who sends it: NAMESPACE/SERVICEACCOUNT, or an address')
    .default('', 'somebody unknown')
    .argParser(
      parsed((text) => {
        if (/^[a-z0-9.-]{1,253}\/[a-z0-9.-]{1,253}$/.test(text) || parseIp(text) !== undefined) return text;
        throw new Error(`Expected NAMESPACE/SERVICEACCOUNT or an IP address, got ${shown(text)}`);
      }),
    );
}

function rollOption(): Option {
  return new Option('--roll <NUMBER>', 'what the dice say, from 0 to below 1').conflicts('seed').argParser(
    parsed((text) => {
      const roll = /^(?:0?\.\d{1,12}|0)$/.test(text) ? Number(text) : 1;
      if (roll < 1) return roll;
      throw new Error(`Expected a number from 0 to below 1, such as 0.93, got ${shown(text)}`);
    }),
  );
}

function seedOption(): Option {
  return new Option(
    '--seed <NUMBER>',
    'dice that say the same again; else they say something else each time',
  ).argParser(
    parsed((text) => {
      const seed = /^\d{1,10}$/.test(text) ? Number(text) : Infinity;
      if (seed <= EXPLAIN_LIMITS.seed) return seed;
      throw new Error(`Expected a whole number from 0 to ${EXPLAIN_LIMITS.seed}, got ${shown(text)}`);
    }),
  );
}

function checkSize({ url, method, headers }: ExplainQuestion): void {
  const chars = [url, method, ...headers.flat()].reduce((sum, { length }) => sum + length, 0);
  if (chars > EXPLAIN_LIMITS.chars || headers.length > EXPLAIN_LIMITS.headers)
    throw new CommandEnd(
      `Expected a request of at most ${EXPLAIN_LIMITS.chars} characters and ${EXPLAIN_LIMITS.headers} headers, got ${chars} and ${headers.length}`,
      EXIT_USAGE,
    );
}
