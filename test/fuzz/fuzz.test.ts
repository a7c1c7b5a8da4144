import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaign, describeFindings } from './campaign.ts';
import { ReplyDirection } from './replies.ts';
import { RequestDirection } from './requests.ts';

const SEED = 1;

test('12,000 mutated and cut requests: nothing smuggled, no crash, no connection left', async () => {
  const direction = await RequestDirection.start();
  const result = await campaign(direction, { pairs: 12_000, seed: SEED });
  await direction.stop();
  assert.equal(describeFindings(result, SEED), '');
});

test('8,000 mutated and cut replies: nothing invented, nobody poisoned, no connection left', async () => {
  const direction = await ReplyDirection.start();
  const result = await campaign(direction, { pairs: 8000, seed: SEED });
  await direction.stop();
  assert.equal(describeFindings(result, SEED), '');
});
