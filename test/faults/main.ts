import { parseArgs } from 'node:util';
import { descriptors } from './descriptors.ts';
import { drainUnderLoad } from './drain.ts';
import { table, type Figure, type Scenario } from './figures.ts';
import { idleConnections } from './idle.ts';
import { overload } from './overload.ts';
import { slowHeads } from './slow-heads.ts';
import { slowReaders } from './slow-readers.ts';
import { soak } from './soak.ts';

// npm run faults [-- --only slow-heads]: exact timings and memory, with the default limits; takes about four minutes.

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  overload,
  'slow-heads': slowHeads,
  'drain': drainUnderLoad,
  descriptors,
  'idle': idleConnections,
  'slow-readers': slowReaders,
  soak,
};

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const chosen = Object.entries(SCENARIOS).filter(([name]) => values.only === undefined || values.only === name);
if (chosen.length === 0) throw new Error(`Expected one of ${Object.keys(SCENARIOS).join(', ')}, got ${values.only}`);

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
if (figures.some(({ ok }) => !ok)) process.exitCode = 1;
