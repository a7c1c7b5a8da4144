import { styleText } from 'node:util';
import { pino } from 'pino';
import type { Settings } from '../model/settings.ts';

/** The program's own log: a short sentence, and what it is about as fields. */
export type Log = pino.Logger;

/** Lines of JSON for machines, or words and `key=value` for people at a terminal. */
export function createLog({ logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>): Log {
  const options: pino.LoggerOptions = { level: logLevel, base: null };
  if (logFormat === 'json') {
    // A full pipe must not stop the thread that accepts connections, and a broken one must not end it.
    const destination = pino.destination({ dest: 1, sync: false });
    destination.on('error', () => {});
    return pino(options, destination);
  }
  process.stdout.on('error', () => {});
  return pino(options, {
    write: (line: string) => {
      process.stdout.write(prettyLine(JSON.parse(line) as LogLine));
    },
  });
}

interface LogLine {
  readonly level: number;
  readonly time: number;
  readonly msg?: string;
}

const COLOUR = { 10: 'gray', 20: 'gray', 30: 'green', 40: 'yellow', 50: 'red', 60: 'red' } as const;

function prettyLine({ level, time, msg = '', ...fields }: LogLine): string {
  const label = (pino.levels.labels[level] ?? '').toUpperCase().padEnd(5);
  const coloured = styleText(COLOUR[level as keyof typeof COLOUR] ?? 'reset', label, { stream: process.stdout });
  const rest = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${new Date(time).toTimeString().slice(0, 8)} ${coloured} ${msg}${rest.join('')}\n`;
}
