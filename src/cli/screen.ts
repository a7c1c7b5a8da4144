import { styleText } from 'node:util';

/** What a stream can show: asked for at each drawing, because a terminal's width changes. */
export interface Screen {
  /** Infinite where nobody looks at the width: pipes and files get everything. */
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
  /** Can signs beyond ASCII be shown? */
  readonly unicode: boolean;
}

export type Style = Parameters<typeof styleText>[0];

/** NO_COLOR, FORCE_COLOR and TERM=dumb are obeyed as Node does. */
export function screenOf(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv = process.env): Screen {
  const terminal = stream.isTTY;
  return {
    columns: (terminal && stream.columns) || Number.POSITIVE_INFINITY,
    rows: (terminal && stream.rows) || Number.POSITIVE_INFINITY,
    colour: styleText('red', 'x', { stream }) !== 'x',
    unicode: /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''),
  };
}

export function styled(text: string, style: Style | undefined, { colour }: Screen): string {
  return style === undefined || !colour ? text : styleText(style, text, { validateStream: false });
}

/** East Asian wide and fullwidth characters, and signs that terminals draw as pictures (UAX 11, coarsely). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const MARK = /\p{M}/u;

/** How many columns text takes; it holds no control characters. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

function widthOfCharacter(character: string): number {
  if (MARK.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** The text, or as much of it as fits, with a sign that something is missing. */
export function cut(text: string, columns: number, { unicode }: Pick<Screen, 'unicode'>): string {
  if (widthOf(text) <= columns) return text;
  let width = 1;
  let kept = '';
  for (const character of text) {
    width += widthOfCharacter(character);
    if (width > columns) break;
    kept += character;
  }
  return columns < 1 ? '' : `${kept}${unicode ? '…' : '~'}`;
}
