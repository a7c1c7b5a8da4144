import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import { BREAKER_PARTS_MAX, type BreakerExpression, type BreakerValue } from '../../model/resilience.ts';
import type { Read } from './annotation-reading.ts';

const LENGTH_MAX = 1000;
const DEPTH_MAX = 32;
/** Behind the last status. */
const STATUS_END = 1000;

/** A word, a number, an operator, or one character that is none of these. */
const TOKEN = /[A-Za-z_]\w*|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|&&|\|\||[<>=!]=|\S/uy;
const SPACE = /\s*/y;
const WORD = /^[A-Za-z_]/;
const NUMBER = /^\.?\d/;
const COMPARISONS = ['<', '<=', '>', '>=', '==', '!='] as const;
const FUNCTIONS = ['NetworkErrorRatio', 'ResponseCodeRatio', 'LatencyAtQuantileMS'] as const;
const FUNCTION_LIST = 'NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS()';

/** What was expected at a place of the text, and what stands there. */
class Misfit extends Error {
  readonly expected: string;
  readonly got: string;

  constructor(expected: string, got: string) {
    super();
    this.expected = expected;
    this.got = got;
  }
}

/**
 * Reads the expression of a circuit breaker, in Traefik's language (its page "CircuitBreaker"), in which Go's operators bind as they
 * do in Go. Beyond it: `!` before a parenthesis, and values on either side of a comparison.
 */
export function parseBreaker(text: string): Read<BreakerExpression> {
  if (text.length > LENGTH_MAX)
    return { expected: `an expression of at most ${LENGTH_MAX} characters`, got: `${text.length} characters` };
  try {
    return { value: new Parser(text).whole() };
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    return { expected: error.expected, got: error.got };
  }
}

class Parser {
  readonly #text: string;
  /** Where the next token begins, and what it is; empty at the end. */
  #at = 0;
  #token = '';
  #parts = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#next();
  }

  whole(): BreakerExpression {
    const expression = this.#either();
    if (this.#token !== '') this.#refuse('"&&", "||" or the end');
    return expression;
  }

  #either(): BreakerExpression {
    let left = this.#both();
    while (this.#takes('||')) left = { does: 'or', left, right: this.#part(() => this.#both()) };
    return left;
  }

  #both(): BreakerExpression {
    let left = this.#condition();
    while (this.#takes('&&')) left = { does: 'and', left, right: this.#part(() => this.#condition()) };
    return left;
  }

  #condition(): BreakerExpression {
    if (this.#takes('!')) {
      // In Go `!a > b` negates `a`, which is no condition here: so that nobody is surprised, it must be clear.
      if (this.#token !== '(' && this.#token !== '!') this.#refuse('"(" after "!"');
      return { does: 'not', of: this.#part(() => this.#deeper(() => this.#condition())) };
    }
    if (!this.#takes('(')) return this.#part(() => this.#comparison());
    const inner = this.#deeper(() => this.#either());
    this.#expect(')', '"&&", "||" or ")"');
    return inner;
  }

  #comparison(): BreakerExpression {
    const start = this.#at;
    const left = this.#value('a condition like NetworkErrorRatio() > 0.30');
    const by = COMPARISONS.find((one) => one === this.#token);
    if (by === undefined) this.#refuse(`one of ${COMPARISONS.map((one) => `"${one}"`).join(', ')}`);
    this.#next();
    const right = this.#value('a number or a function');
    if (left.is === 'number' && right.is === 'number')
      throw new Misfit(`a comparison with one of ${FUNCTION_LIST} at character ${start + 1}`, 'two numbers');
    return { does: 'compare', by, left, right };
  }

  #value(expected: string): BreakerValue {
    if (NUMBER.test(this.#token)) return { is: 'number', value: this.#number(expected) };
    const name = FUNCTIONS.find((one) => one === this.#token);
    if (name === undefined) {
      if (!WORD.test(this.#token)) this.#refuse(expected);
      const near = nearest(this.#token, FUNCTIONS);
      this.#refuse(`one of ${FUNCTION_LIST}${near === undefined ? '' : ` (the nearest is ${near})`}`);
    }
    this.#next();
    this.#expect('(', `"(" after ${name}`);
    const value = this.#call(name);
    this.#expect(')', '")"');
    return value;
  }

  #call(name: (typeof FUNCTIONS)[number]): BreakerValue {
    if (name === 'NetworkErrorRatio') return { is: 'network-error-ratio' };
    if (name === 'LatencyAtQuantileMS')
      return { is: 'latency-at-quantile-ms', quantile: this.#numberTo(100, 'a quantile from 0 to 100') };
    const [a, b] = this.#statuses();
    this.#expect(',', '","');
    const [c, d] = this.#statuses();
    return { is: 'response-code-ratio', a, b, c, d };
  }

  /** A range of statuses: `500, 600`. */
  #statuses(): readonly [from: number, end: number] {
    const from = this.#status('a status');
    this.#expect(',', '","');
    const start = this.#at;
    const end = this.#status('the status at which the range ends');
    if (end <= from) throw new Misfit(`a status above ${from} at character ${start + 1}`, String(end));
    return [from, end];
  }

  #status(what: string): number {
    const start = this.#at;
    const expected = `${what}, a whole number from 0 to ${STATUS_END}`;
    const status = this.#numberTo(STATUS_END, expected);
    if (!Number.isInteger(status)) throw new Misfit(`${expected} at character ${start + 1}`, String(status));
    return status;
  }

  #numberTo(max: number, expected: string): number {
    if (!NUMBER.test(this.#token) || Number(this.#token) > max) this.#refuse(expected);
    return this.#number(expected);
  }

  #number(expected: string): number {
    const value = Number(this.#token);
    if (!Number.isFinite(value)) this.#refuse(expected);
    this.#next();
    return value;
  }

  #takes(token: string): boolean {
    if (this.#token !== token) return false;
    this.#next();
    return true;
  }

  #expect(token: string, expected: string): void {
    if (!this.#takes(token)) this.#refuse(expected);
  }

  /** Conditions, and what joins and negates them. */
  #part<T>(read: () => T): T {
    if (++this.#parts > BREAKER_PARTS_MAX)
      throw new Misfit(`at most ${BREAKER_PARTS_MAX} conditions and operators`, 'more');
    return read();
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > DEPTH_MAX) throw new Misfit(`at most ${DEPTH_MAX} parentheses and "!" in each other`, 'more');
    const result = read();
    this.#depth--;
    return result;
  }

  #next(): void {
    SPACE.lastIndex = this.#at + this.#token.length;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
    TOKEN.lastIndex = this.#at;
    this.#token = TOKEN.exec(this.#text)?.[0] ?? '';
  }

  #refuse(expected: string): never {
    throw new Misfit(`${expected} at character ${this.#at + 1}`, this.#token === '' ? 'the end' : shown(this.#token));
  }
}
