/** The examples of routes do what their comments say. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { ExplainAnswer } from '../../src/model/admin.ts';
import { heddle } from '../cli/heddle.ts';

const FOLDER = 'deploy/examples/routes';
/** What each first lines ask, and who gets that request. */
const ASKED: Readonly<Record<string, { readonly rule: string | undefined; readonly outcome: string }>> = {
  'ab-by-cookie.yaml': {
    rule: 'metadata.annotations["heddle.dev/match"]',
    outcome: 'An endpoint of shop/front-b:80 gets it',
  },
  'canary-annotation.yaml': {
    rule: 'metadata.annotations["heddle.dev/match"]',
    outcome: 'An endpoint of shop/orders-v2:80 gets it',
  },
  'canary-httproute.yaml': { rule: 'spec.rules[1]', outcome: 'An endpoint of shop/users-v2:80 gets it' },
  'fault.yaml': { rule: undefined, outcome: 'A fault answers it: the owner of the Service wants it' },
  'mirror.yaml': {
    rule: 'metadata.annotations["heddle.dev/mirror"]',
    outcome: 'An endpoint of shop/search:80 gets it',
  },
  'resilience.yaml': { rule: undefined, outcome: 'An endpoint of shop/pricing:80 gets it' },
};

/** The command after `# Ask: `, as a shell splits it. */
function commandIn(text: string): readonly string[] {
  const [, command] = /^# Ask: heddle (.+)$/m.exec(text) ?? assert.fail('No line says what to ask');
  return [...command!.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
}

async function asked(args: readonly string[]): Promise<ExplainAnswer> {
  const { code, out, err } = await heddle([...args, '-o', 'json']);
  assert.equal(code, 0, err);
  return JSON.parse(out) as ExplainAnswer;
}

test('each example of a route is tried', () => {
  assert.deepEqual(readdirSync(FOLDER).toSorted(), Object.keys(ASKED));
});

test('nothing is wrong with the examples of routes, taken together', async () => {
  const { code, out } = await heddle(['check', '-f', FOLDER]);
  assert.equal(code, 0, out);
});

describe('what an example of a route says to ask has the answer that it is about', () => {
  for (const [file, { rule, outcome }] of Object.entries(ASKED)) {
    test(file, async () => {
      const { explanation } = await asked(commandIn(readFileSync(`${FOLDER}/${file}`, 'utf8')));
      assert.equal(explanation.rule?.field, rule);
      assert.equal(explanation.outcome.text, outcome);
    });
  }

  test('mirror.yaml: the mirror gets a copy of its share, and of no more', async () => {
    const command = commandIn(readFileSync(`${FOLDER}/mirror.yaml`, 'utf8'));
    const others = command.map((word) => (word === '0.05' ? '0.5' : word));
    const copied = [await asked(command), await asked(others)].map(({ explanation }) => explanation.mirrors[0]?.copied);
    assert.deepEqual(copied, [true, false]);
  });
});
