import { harmless } from '../../lib/shown.ts';

const CHARACTERS_MAX = 300;

/** What the server or the client library said, for a report or a detail: one short line. */
export function errorText(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return harmless(text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text);
}
