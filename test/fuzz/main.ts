import { parseArgs } from 'node:util';
import { campaign, describeFindings } from './campaign.ts';
import { ReplyDirection } from './replies.ts';
import { RequestDirection } from './requests.ts';

// npm run fuzz -- --pairs 200000 --seed 7: the same as fuzz.test.ts, with more pairs. Exit code 1 when something was found.

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const seed = Number(values.seed);
const pairs = Number(values.pairs);

for (const [kind, share] of [
  [RequestDirection, 0.6],
  [ReplyDirection, 0.4],
] as const) {
  const direction = await kind.start();
  const startMs = performance.now();
  const result = await campaign(direction, { pairs: Math.round(pairs * share), seed });
  console.log(
    `${direction.name}: seed ${seed}, ${result.pairs} pairs in ${((performance.now() - startMs) / 1000).toFixed(1)} s, ${result.findings.length} findings`,
  );
  if (result.findings.length > 0) {
    console.log(describeFindings(result, seed));
    process.exitCode = 1;
  }
  await direction.stop();
}
