/** The language of circuit breakers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBreaker } from '../../src/control/compile/breaker-expression.ts';
import { type Dice, SeededDice } from '../../src/lib/dice.ts';
import { BREAKER_PARTS_MAX, type BreakerExpression, type BreakerValue } from '../../src/model/resilience.ts';

const NETWORK: BreakerValue = { is: 'network-error-ratio' };

function parsed(text: string): BreakerExpression {
  const result = parseBreaker(text);
  assert.ok('value' in result, `${text}: ${JSON.stringify(result)}`);
  return result.value;
}

function above(left: BreakerValue, value: number): BreakerExpression {
  return { does: 'compare', by: '>', left, right: { is: 'number', value } };
}

/** With every parenthesis there may be. */
function printed(expression: BreakerExpression): string {
  if (expression.does === 'compare')
    return `${printedValue(expression.left)} ${expression.by}${printedValue(expression.right)}`;
  if (expression.does === 'not') return `!(${printed(expression.of)})`;
  const operator = expression.does === 'and' ? ' && ' : '||';
  return `(${printed(expression.left)}${operator}${printed(expression.right)})`;
}

function printedValue(value: BreakerValue): string {
  if (value.is === 'number') return String(value.value);
  if (value.is === 'network-error-ratio') return 'NetworkErrorRatio()';
  if (value.is === 'latency-at-quantile-ms') return `LatencyAtQuantileMS(${value.quantile})`;
  return `ResponseCodeRatio(${value.a},${value.b}, ${value.c} ,${value.d})`;
}

describe('an expression is read', () => {
  for (const [text, expected] of [
    ['NetworkErrorRatio() > 0.30', above(NETWORK, 0.3)],
    ['LatencyAtQuantileMS(50.0) > 100', above({ is: 'latency-at-quantile-ms', quantile: 50 }, 100)],
    [
      'ResponseCodeRatio(500, 600, 0, 600) > 0.25',
      above({ is: 'response-code-ratio', a: 500, b: 600, c: 0, d: 600 }, 0.25),
    ],
  ] as const) {
    test(text, () => {
      assert.deepEqual(parsed(text), expected);
    });
  }

  test('"&&" binds closer than "||", and both from the left', () => {
    const [a, b, c, d] = [1, 2, 3, 4].map((value) => above(NETWORK, value)) as [
      BreakerExpression,
      BreakerExpression,
      BreakerExpression,
      BreakerExpression,
    ];
    const text = [1, 2, 3, 4].map((value) => `NetworkErrorRatio()>${value}`);
    assert.deepEqual(parsed(`${text[0]} || ${text[1]} && ${text[2]} || ${text[3]}`), {
      does: 'or',
      left: { does: 'or', left: a, right: { does: 'and', left: b, right: c } },
      right: d,
    });
  });

  test('parentheses go before "&&", and "!" before all', () => {
    const text = '!(NetworkErrorRatio() > 1) && (NetworkErrorRatio() > 2 || NetworkErrorRatio() > 3)';
    assert.deepEqual(parsed(text), {
      does: 'and',
      left: { does: 'not', of: above(NETWORK, 1) },
      right: { does: 'or', left: above(NETWORK, 2), right: above(NETWORK, 3) },
    });
  });

  test('each comparison, with the function on either side', () => {
    for (const by of ['<', '<=', '>', '>=', '==', '!='])
      assert.deepEqual(parsed(`.5${by}NetworkErrorRatio()`), {
        does: 'compare',
        by,
        left: { is: 'number', value: 0.5 },
        right: NETWORK,
      });
  });

  test('as it was printed, whatever it is', () => {
    const dice = new SeededDice(8);
    for (let round = 0; round < 2000; round++) {
      const expression = anyExpression(dice, 4);
      assert.deepEqual(parsed(printed(expression)), expression, printed(expression));
    }
  });
});

describe('what cannot be read is told with its place', () => {
  const condition = 'NetworkErrorRatio() > 0.5';
  for (const [text, expected, got] of [
    ['', /^a condition like .* at character 1$/, 'the end'],
    ['NetworkErorRatio() > 0.3', /the nearest is NetworkErrorRatio\) at character 1$/, '"NetworkErorRatio"'],
    ['Errors() > 0.3', /^one of NetworkErrorRatio\(\), .* at character 1$/, '"Errors"'],
    ['NetworkErrorRatio > 0.3', /^"\(" after NetworkErrorRatio at character 19$/, '">"'],
    ['NetworkErrorRatio() 0.3', /^one of "<", .* at character 21$/, '"0.3"'],
    ['NetworkErrorRatio() = 0.3', /^one of "<", .* at character 21$/, '"="'],
    ['NetworkErrorRatio() >', /^a number or a function at character 22$/, 'the end'],
    ['NetworkErrorRatio() > 30%', /^"&&", "\|\|" or the end at character 25$/, '"%"'],
    ['NetworkErrorRatio() > -1', /^a number or a function at character 23$/, '"-"'],
    ['NetworkErrorRatio() > 1e999', /^a number or a function at character 23$/, '"1e999"'],
    [`(${condition}`, /^"&&", "\|\|" or "\)" at character 27$/, 'the end'],
    [`${condition})`, /or the end at character 26$/, '")"'],
    [`!${condition}`, /^"\(" after "!" at character 2$/, '"NetworkErrorRatio"'],
    [`${condition} & ${condition}`, /^"&&", "\|\|" or the end at character 27$/, '"&"'],
    ['1 > 0.5', /^a comparison with one of .* at character 1$/, 'two numbers'],
    ['LatencyAtQuantileMS() > 5', /^a quantile from 0 to 100 at character 21$/, '")"'],
    ['LatencyAtQuantileMS(101) > 5', /^a quantile from 0 to 100 at character 21$/, '"101"'],
    ['ResponseCodeRatio(500, 600) > 0.2', /^"," at character 27$/, '")"'],
    ['ResponseCodeRatio(600, 500, 0, 600) > 1', /^a status above 600 at character 24$/, '500'],
    ['ResponseCodeRatio(500.5, 600, 0, 600) > 1', /^a status, a whole number .* at character 19$/, '500.5'],
    ['ResponseCodeRatio(0, 1e4, 0, 600) > 1', /^the status at which .* at character 22$/, '"1e4"'],
  ] as const) {
    test(text === '' ? 'nothing' : text, () => {
      const result = parseBreaker(text);
      assert.ok('got' in result);
      assert.match(result.expected ?? '', expected);
      assert.equal(result.got, got);
    });
  }

  test('what is too long, has too many parts or is too deep', () => {
    const refused = (text: string): string => {
      const result = parseBreaker(text);
      return 'got' in result ? (result.expected ?? '') : 'nothing';
    };
    assert.match(refused(condition.padEnd(1001)), /1000 characters/);
    const many = (count: number): string => Array.from({ length: count }, () => '.5<NetworkErrorRatio()').join('&&');
    assert.match(refused(many(BREAKER_PARTS_MAX / 2 + 1)), /at most 64 conditions/);
    assert.equal(refused(many(BREAKER_PARTS_MAX / 2)), 'nothing');
    assert.match(refused(`${'('.repeat(33)}${condition}${')'.repeat(33)}`), /at most 32 parentheses/);
    assert.equal(refused(`${'('.repeat(32)}${condition}${')'.repeat(32)}`), 'nothing');
    assert.match(refused('('.repeat(1000)), /at most 32/);
    assert.match(refused('!'.repeat(1000)), /at most 32/);
  });

  test('nothing that anybody may write throws', () => {
    const pieces = [
      'NetworkErrorRatio',
      'ResponseCodeRatio(',
      '(',
      ')',
      '!',
      '&&',
      '||',
      '>',
      '0.3',
      ',',
      ' ',
      '=',
      '\u{1f600}',
      '\ud800',
      '\n',
      'x',
    ];
    const dice = new SeededDice(9);
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: below(dice, 20) }, () => pieces[below(dice, pieces.length)]).join('');
      const result = parseBreaker(text);
      if ('value' in result) assert.deepEqual(parsed(printed(result.value)), result.value);
      else assert.ok(result.expected !== undefined && result.got !== '', text);
    }
  });
});

function below(dice: Dice, end: number): number {
  return Math.floor(dice.roll() * end);
}

function anyExpression(dice: Dice, depth: number): BreakerExpression {
  const inner = (): BreakerExpression => anyExpression(dice, depth - 1);
  switch (depth === 0 ? 3 : below(dice, 4)) {
    case 0:
      return { does: 'and', left: inner(), right: inner() };
    case 1:
      return { does: 'or', left: inner(), right: inner() };
    case 2:
      return { does: 'not', of: inner() };
    default: {
      const by = (['<', '<=', '>', '>=', '==', '!='] as const)[below(dice, 6)]!;
      return { does: 'compare', by, left: anyFunction(dice), right: { is: 'number', value: below(dice, 1000) / 8 } };
    }
  }
}

function anyFunction(dice: Dice): BreakerValue {
  switch (below(dice, 3)) {
    case 0:
      return NETWORK;
    case 1:
      return { is: 'latency-at-quantile-ms', quantile: below(dice, 1001) / 10 };
    default: {
      const [a, c] = [below(dice, 1000), below(dice, 1000)];
      return { is: 'response-code-ratio', a, b: a + 1 + below(dice, 1000 - a), c, d: c + 1 + below(dice, 1000 - c) };
    }
  }
}
