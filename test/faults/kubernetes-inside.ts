import { writeFileSync } from 'node:fs';
import { sh } from '../cluster/shell.ts';
import type { Figure } from './figures.ts';
import { apiAway } from './kubernetes-away.ts';
import { ENDPOINT_BLOCK, startEndpoints } from './kubernetes-scene.ts';
import { weightsOfApiServer } from './kubernetes-rules.ts';
import { badApiServer } from './kubernetes-watch.ts';

// The first process of its namespaces: SCENARIO, the file for its figures, and for `kubernetes-away` the minutes.

const [scenario, file = '', minutes] = process.argv.slice(2);

await sh('ip link set lo up', `ip route add local ${ENDPOINT_BLOCK} dev lo`);
const endpoints = await startEndpoints();
const SCENARIOS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  'kubernetes-watch': badApiServer,
  'kubernetes-away': async () => apiAway(Number(minutes)),
  'kubernetes-rules': weightsOfApiServer,
};
const figures = await SCENARIOS[scenario ?? '']!();
endpoints.close().closeAllConnections();
writeFileSync(file, JSON.stringify(figures));
process.exit(0);
