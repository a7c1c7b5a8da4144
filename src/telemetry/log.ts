import { styleText } from 'node:util';
import { pino } from 'pino';
import type { Settings } from '../model/settings.ts';

/** The program's own log: a short sentence, and what it is about as fields. `level` may be set while it runs. */
export type Log = pino.Logger;

/**
 * Lines of JSON for machines, or words and `key=value` for people at a terminal.
 * @param write takes each line with its line end: the log writes nothing by itself, because a full pipe must not stop the
 *   thread that accepts connections.
 */
export function createLog(
  { logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>,
  write: (line: string) => unknown,
): Log {
  const pretty = (line: string): void => void write(prettyLine(JSON.parse(line) as LogLine));
  return pino({ level: logLevel, base: null }, { write: logFormat === 'json' ? write : pretty });
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
