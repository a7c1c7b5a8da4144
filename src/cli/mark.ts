import { styled, type Screen } from './screen.ts';

export type Verdict = 'ok' | 'warning' | 'wrong';

const MARKS = {
  ok: { sign: '√', ascii: 'ok', style: 'green' },
  warning: { sign: '‼', ascii: '!!', style: 'yellow' },
  wrong: { sign: '×', ascii: 'XX', style: 'red' },
} as const;

/** The sign before a line of `heddle check`. */
export function markOf(verdict: Verdict, screen: Screen): string {
  const { sign, ascii, style } = MARKS[verdict];
  return styled(screen.unicode ? sign : ascii, style, screen);
}
