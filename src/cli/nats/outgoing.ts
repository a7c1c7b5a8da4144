import { Option } from 'commander';
import { shown } from '../../lib/shown.ts';
import { parsed } from '../command.ts';
import { CommandEnd, EXIT_USAGE } from '../exit.ts';

/** Far more than a NATS server takes: it says what is too much. */
const INPUT_BYTES_MAX = 64 * 1024 * 1024;
/** A field name (RFC 9110 section 5.6.2), and what Node sends as a value. */
const HEADER = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

/** What commands that send something end with, beside the common ones. */
export const SEND_EXIT_CODES: Readonly<Record<number, string>> = {
  1: 'the bridge said no: the message says why, and nothing was sent',
  3: 'no bridge answers',
  5: 'it was sent, and nobody knows whether it arrived',
};

/** By name, in the order of the command line. */
export type GivenHeaders = Readonly<Record<string, readonly string[]>>;

export function headerOption(): Option {
  return new Option('-H, --header <NAME:VALUE>', 'a header of the message; repeatable').argParser(
    (text: string, before: GivenHeaders | undefined) => withHeader(before ?? {}, parsed(parseHeader)(text)),
  );
}

function parseHeader(text: string): readonly [name: string, value: string] {
  const [, name, value] = HEADER.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new Error(`Expected a header such as "Trace: yes", got ${shown(text)}`);
}

function withHeader(before: GivenHeaders, [name, value]: readonly [string, string]): GivenHeaders {
  // Names of HTTP have no case: one that was given before keeps its spelling.
  const known = Object.keys(before).find((one) => one.toLowerCase() === name.toLowerCase()) ?? name;
  return { ...before, [known]: [...(before[known] ?? []), value] };
}

/** What a message carries. @param given absent: nothing; `-`: what standard input has */
export async function bodyGiven(given: string | undefined): Promise<string | Buffer> {
  if (given !== '-') return given ?? '';
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > INPUT_BYTES_MAX)
      throw new CommandEnd(`Expected at most ${INPUT_BYTES_MAX} bytes on standard input, got more`, EXIT_USAGE);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
