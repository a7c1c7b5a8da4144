import { writeFileSync } from 'node:fs';
import { sh } from '../cluster/shell.ts';
import { apiAway } from './kubernetes-away.ts';
import { ENDPOINT_BLOCK, startEndpoints } from './kubernetes-scene.ts';
import { badApiServer } from './kubernetes-watch.ts';

// The first process of its namespaces: SCENARIO, the file for its figures, and for `kubernetes-away` the minutes.

const [scenario, file = '', minutes] = process.argv.slice(2);

await sh('ip link set lo up', `ip route add local ${ENDPOINT_BLOCK} dev lo`);
const endpoints = await startEndpoints();
const figures = scenario === 'kubernetes-watch' ? await badApiServer() : await apiAway(Number(minutes));
endpoints.close().closeAllConnections();
writeFileSync(file, JSON.stringify(figures));
process.exit(0);
