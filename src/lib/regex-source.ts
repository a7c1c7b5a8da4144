/** What can be told of a regular expression without running it. */
export interface RegexShape {
  /** The first construct that is refused: `a look-ahead, (?=`. Undefined: none is, but there may be errors of other kinds. */
  readonly refused: string | undefined;
  /** How many of its places may be tried at one character of the text, at most. */
  readonly width: number;
}

/** A part of an expression. A place is what takes a step of the engine: a range of characters, a fork. */
interface Part {
  /** Repeated ones count as often as they are repeated. */
  readonly places: number;
  /** How many of them may be tried at one character. */
  readonly width: number;
  /** Of each text that it fits; undefined: it varies. */
  readonly length: number | undefined;
  /** How often the engine repeats its innermost part at most: counts within counts. */
  readonly count: number;
}

/** What V8's linear engine repeats at most. */
const COUNT_MAX = 16;
/** The reader calls itself for each group. */
const DEPTH_MAX = 100;

const NOTHING: Part = { places: 1, width: 1, length: 0, count: 1 };
const QUANTIFIER = /[*+?]|\{(\d+)(?:(,)(\d*))?\}/y;
/** Those that RE2 and JavaScript read alike: classes, controls, a byte, and any sign as itself. */
const ESCAPE = /\\(?:[dDwWsSfnrtv]|x[0-9a-fA-F]{2}|[^a-zA-Z0-9])/y;
const EDGE = /\^|\$|\\[bB]/y;
const GROUP = /\((?!\?)|\(\?:|\(\?<[A-Za-z_]\w*>/y;
const FOREIGN_GROUPS = [
  ['(?=', 'a look-ahead'],
  ['(?!', 'a look-ahead'],
  ['(?<=', 'a look-behind'],
  ['(?<!', 'a look-behind'],
  ['(?P', 'a group of Python'],
  ['(?>', 'an atomic group'],
] as const;

export function readRegex(source: string): RegexShape {
  try {
    return { refused: undefined, width: new RegexReader(source).width() };
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.message, width: 0 };
    throw error;
  }
}

class Refusal extends Error {}

/** Reads an expression that is well-formed; in others it sees something, which is never used, since the engine refuses them. */
class RegexReader {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    const foreign = /[^ -~]/.exec(source);
    if (foreign !== null) throw new Refusal(`a character that is not printable ASCII, ${JSON.stringify(foreign[0])}`);
    this.#source = source;
  }

  width(): number {
    const branches = this.#branches();
    // Without an anchor a match may start at each character, so that all places may be tried there.
    return branches.length === 1 && this.#source.startsWith('^') ? branches[0]!.width : anyOf(branches).places;
  }

  #branches(): Part[] {
    const branches = [this.#sequence()];
    while (this.#took('|')) branches.push(this.#sequence());
    return branches;
  }

  #sequence(): Part {
    let whole: Part = { ...NOTHING, places: 0, width: 0 };
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!))
      whole = followed(whole, this.#repeated());
    return whole;
  }

  #repeated(): Part {
    const part = this.#atom();
    const quantifier = this.#match(QUANTIFIER);
    if (quantifier === null) return part;
    this.#took('?');
    const [text, least = text === '+' ? '1' : '0', comma, most = ''] = quantifier;
    const exact = text.startsWith('{') && comma === undefined;
    const last = exact ? least : most;
    const count = Math.max(1, Number(last === '' ? least : last));
    if (count > COUNT_MAX) throw new Refusal(`a count over ${COUNT_MAX}, ${text}`);
    if (count * part.count > COUNT_MAX)
      throw new Refusal(`counts within counts that make over ${COUNT_MAX}, of which the outer is ${text}`);
    const places = (part.places + 1) * count;
    return exact && part.length !== undefined
      ? { places, width: part.width + 1, length: part.length * Number(least), count: count * part.count }
      : { places, width: places, length: undefined, count: count * part.count };
  }

  #atom(): Part {
    const start = this.#at;
    const char = this.#source[start];
    if (char === '(') return this.#group();
    if (char === '[') return this.#class();
    if (this.#match(EDGE) !== null) return NOTHING;
    if (char === '\\') this.#escape();
    else this.#at++;
    return { places: 1, width: 1, length: 1, count: 1 };
  }

  #group(): Part {
    if (this.#match(GROUP) === null) {
      const rest = this.#source.slice(this.#at);
      const [start, name] = FOREIGN_GROUPS.find(([begin]) => rest.startsWith(begin)) ?? [rest.slice(0, 3), 'a flag'];
      throw new Refusal(`${name}, ${start}`);
    }
    if (++this.#depth > DEPTH_MAX) throw new Refusal(`groups within groups, more than ${DEPTH_MAX}`);
    const part = anyOf(this.#branches());
    this.#depth--;
    this.#took(')');
    return part;
  }

  /** Each of its items may be a range of its own. */
  #class(): Part {
    let items = 0;
    this.#at++;
    this.#took('^');
    if (this.#source[this.#at] === ']')
      throw new Refusal('an empty class, or a ] in a class that is not written as \\]');
    while (this.#at < this.#source.length && !this.#took(']')) {
      if (this.#source.startsWith('[:', this.#at)) throw new Refusal('a class of POSIX, [:');
      // The second end of a range is no item of its own.
      const isRange = items > 0 && this.#source[this.#at + 1] !== ']' && this.#took('-');
      if (this.#source[this.#at] === '\\') this.#escape();
      else this.#at++;
      if (!isRange) items++;
    }
    return { places: items, width: items, length: 1, count: 1 };
  }

  #escape(): void {
    if (this.#match(ESCAPE) !== null) return;
    const escape = this.#source.slice(this.#at, this.#at + 2);
    // At the end it is an error, that the engine tells.
    if (escape !== '\\')
      throw new Refusal(/[\dk]/.test(escape) ? `a back-reference, ${escape}` : `the escape ${escape}`);
    this.#at++;
  }

  #took(char: string): boolean {
    const there = this.#source[this.#at] === char;
    if (there) this.#at++;
    return there;
  }

  #match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.#source);
    if (match !== null) this.#at += match[0].length;
    return match;
  }
}

function followed(before: Part, part: Part): Part {
  const { length } = before;
  return {
    places: before.places + part.places,
    // Behind parts of known lengths a character can belong to this part only.
    width: length === undefined ? before.width + part.places : Math.max(before.width, part.width),
    length: length === undefined || part.length === undefined ? undefined : length + part.length,
    count: Math.max(before.count, part.count),
  };
}

function anyOf(branches: readonly Part[]): Part {
  const [first, ...others] = branches;
  return others.reduce(
    (all, branch) => ({
      // One more for the fork.
      places: all.places + branch.places + 1,
      width: all.width + branch.width + 1,
      length: all.length === branch.length ? all.length : undefined,
      count: Math.max(all.count, branch.count),
    }),
    first!,
  );
}
