import { harmless } from '../../lib/shown.ts';
import { screenOf, styled } from '../screen.ts';
import { markOf, type Verdict } from '../mark.ts';

/** One thing that was looked at. */
export interface Finding {
  /** What it belongs to; findings of one section stand together. */
  readonly section: string;
  readonly verdict: Verdict;
  readonly text: string;
  /** What to do about it; empty where nothing is wrong. */
  readonly advice: string;
}

export function finding(section: string, verdict: Verdict, text: string, advice = ''): Finding {
  return { section, verdict, text, advice };
}

export function isFine(findings: readonly Finding[]): boolean {
  return findings.every(({ verdict }) => verdict !== 'wrong');
}

/** Writes them to standard output, for a person. */
export function tell(findings: readonly Finding[]): void {
  const screen = screenOf(process.stdout);
  let section = '';
  let out = '';
  for (const { section: of, verdict, text, advice } of findings) {
    if (of !== section) out += `${section === '' ? '' : '\n'}${styled(of, 'bold', screen)}\n`;
    section = of;
    out += `${markOf(verdict, screen)} ${harmless(text)}\n`;
    for (const line of advice === '' ? [] : advice.split('\n')) out += `    ${harmless(line)}\n`;
  }
  const wrong = findings.filter(({ verdict }) => verdict === 'wrong').length;
  const end = wrong === 0 ? 'Nothing is wrong' : `Wrong: ${wrong}`;
  process.stdout.write(`${out}\n${end}\n`);
}
