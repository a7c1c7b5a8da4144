import { parseArgs } from 'node:util';
import { blackHole } from './black-hole.ts';
import { blockedLog } from './blocked-log.ts';
import { clock } from './clock.ts';
import { crash } from './crash.ts';
import { changes } from './changes.ts';
import { deadline } from './deadline.ts';
import { descriptors } from './descriptors.ts';
import { drainUnderLoad } from './drain.ts';
import { type Figure, type Scenario, table } from './figures.ts';
import { herd } from './herd.ts';
import { idleConnections } from './idle.ts';
import { kubernetesAway, kubernetesRules, kubernetesWatch } from './kubernetes.ts';
import { limits } from './limits.ts';
import { overload } from './overload.ts';
import { reload } from './reload.ts';
import { retries } from './retries.ts';
import { rulesBad } from './rules-bad.ts';
import { rulesCanary } from './rules-canary.ts';
import { rulesWeights } from './rules-weights.ts';
import { shedding } from './shedding.ts';
import { slowHeads } from './slow-heads.ts';
import { slowReaders } from './slow-readers.ts';
import { slowUpstream } from './slow-upstream.ts';
import { soak } from './soak.ts';
import { storm } from './storm.ts';
import { takeover } from './takeover.ts';
import { upstreamDeath } from './upstream-death.ts';

// npm run faults [-- slow-heads soak --soak-minutes 10 --away-minutes 10]: exact timings and memory, with the default limits; all
// of them take less than twenty minutes.

const { values, positionals } = parseArgs({
  options: {
    'soak-minutes': { type: 'string', default: '0.75' },
    'away-minutes': { type: 'string', default: '1' },
  },
  allowPositionals: true,
});
const soakMinutes = minutesOf(values['soak-minutes']);
const awayMinutes = minutesOf(values['away-minutes']);

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  overload,
  changes,
  'slow-heads': slowHeads,
  'drain': drainUnderLoad,
  takeover,
  reload,
  crash,
  herd,
  'upstream-death': upstreamDeath,
  descriptors,
  'idle': idleConnections,
  'slow-readers': slowReaders,
  'blocked-log': blockedLog,
  'kubernetes-watch': kubernetesWatch,
  'kubernetes-rules': kubernetesRules,
  'kubernetes-away': async () => kubernetesAway(awayMinutes),
  'rules-bad': rulesBad,
  'rules-weights': rulesWeights,
  'rules-canary': rulesCanary,
  retries,
  'black-hole': blackHole,
  'slow-upstream': slowUpstream,
  storm,
  deadline,
  clock,
  limits,
  shedding,
  'soak': async () => soak(soakMinutes),
};

const unknown = positionals.find((name) => !(name in SCENARIOS));
if (unknown !== undefined) throw new Error(`Expected some of ${Object.keys(SCENARIOS).join(', ')}, got ${unknown}`);
const chosen = Object.entries(SCENARIOS).filter(([name]) => positionals.length === 0 || positionals.includes(name));

const figures: Figure[] = [];
for (const [name, scenario] of chosen) {
  console.log(`${name} …`);
  // One scenario after the other: they measure.
  const measured = await scenario().catch((error: unknown) => [
    { scenario: name, what: 'the scenario itself', measured: String(error), wanted: 'no error', ok: false },
  ]);
  figures.push(...measured);
}
console.log(table(figures));
const missed = figures.filter(({ ok }) => ok === 'missed').length;
if (missed > 0) console.log(`${missed} of ${figures.length} missed a goal of pace: see the lines marked so`);
// A scenario that broke off may have left a mesh behind, which ends with us.
process.exit(figures.some(({ ok }) => ok === false) ? 1 : 0);

function minutesOf(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0)) throw new Error(`Expected a number of minutes, got ${text}`);
  return minutes;
}
