import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { compile, type Compilation } from '../../src/control/compile.ts';
import { discoverFiles } from '../../src/control/discovery.ts';
import type { Resources } from '../../src/model/resource.ts';
import { eventually, sleep } from '../harness/client.ts';
import { type Figure, milliseconds, pace, quantile } from './figures.ts';

const FILES = 100;
const SERVICES_EACH = 10;
const ENDPOINTS_EACH = 10;
const CHANGES_PER_SECOND = 100;
const SECONDS = 20;

/** 1,000 Services with 10,000 endpoints in 100 files, of which 100 a second are replaced: from the rename to the resources. */
export async function reload(): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-reload-'));
  const renamedMs: number[] = [];
  const replace = (change: number): void => {
    const temporary = join(directory, '.new');
    writeFileSync(temporary, manifests(change));
    renamedMs.push(performance.now());
    renameSync(temporary, join(directory, `${change % FILES}.yaml`));
  };
  for (let change = 0; change < FILES; change++) replace(change);
  const latencies: number[] = [];
  const compileMs: number[] = [];
  let compiled: Compilation | undefined;
  const seen = new Map<number, number>();
  const onResources = (resources: Resources): void => {
    const nowMs = performance.now();
    for (const { name, endpoints } of resources.endpointSlices) {
      if (!name.endsWith('-0')) continue;
      const change = changeOf(endpoints[0]!.address);
      for (let missed = (seen.get(change % FILES) ?? -FILES) + FILES; missed <= change; missed += FILES)
        latencies.push(nowMs - renamedMs[missed]!);
      seen.set(change % FILES, change);
    }
    const beganMs = performance.now();
    compiled = compile(resources, compiled, {
      clusterDomain: 'cluster.local',
      from: 'files',
      externalName: 'refuse',
      nats: 'policies',
    });
    compileMs.push(performance.now() - beganMs);
  };
  const discovery = discoverFiles([directory], { onResources, onProblems: () => {} });
  await eventually(() => compiled !== undefined, { waitMs: 20_000 });
  latencies.length = 0;
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const beganMs = performance.now();
  const last = FILES + SECONDS * CHANGES_PER_SECOND;
  for (let change = FILES; change < last; change++) {
    const dueMs = beganMs + ((change - FILES) * 1000) / CHANGES_PER_SECOND;
    if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    replace(change);
  }
  const wanted = SECONDS * CHANGES_PER_SECOND;
  await eventually(() => latencies.length >= wanted, { waitMs: 10_000 }).catch(() => {});
  delays.disable();
  void discovery.stop();
  rmSync(directory, { recursive: true });
  const figure = (what: string, measured: number, wantedMs: number): Figure => ({
    scenario: 'reload',
    what,
    measured: milliseconds(measured),
    wanted: `<= ${wantedMs} ms`,
    ok: pace(measured, wantedMs),
  });
  return [
    {
      scenario: 'reload',
      what: `of ${wanted} changes seen`,
      measured: String(latencies.length),
      wanted: String(wanted),
      ok: latencies.length === wanted,
    },
    figure('rename to resources, p50', quantile(latencies, 0.5), 30),
    figure('rename to resources, p99', quantile(latencies, 0.99), 150),
    figure('compile with one file changed, p50', quantile(compileMs, 0.5), 3),
    figure('delay of the event loop, p99', delays.percentile(99) / 1e6, 50),
  ];
}

/** The file that this change replaces: ten Services with a slice each. The change's number is the first address. */
function manifests(change: number): string {
  const file = change % FILES;
  const documents = Array.from({ length: SERVICES_EACH }, (_, index) => {
    const name = `s-${file}-${index}`;
    const addresses = Array.from({ length: ENDPOINTS_EACH }, (_unused, endpoint) =>
      index === 0 && endpoint === 0 ? `10.0.${change >> 8}.${change & 255}` : `10.${file + 1}.${index}.${endpoint + 1}`,
    );
    return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  annotations:
    heddle.dev/enabled: "true"
spec:
  clusterIP: 10.96.${file}.${index + 1}
  ports:
    - name: http
      port: 80
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${name}
  namespace: shop
  labels:
    kubernetes.io/service-name: ${name}
addressType: IPv4
ports:
  - name: http
    port: 8080
endpoints:
${addresses.map((address) => `  - addresses: [${address}]\n    conditions: { ready: true }\n`).join('')}`;
  });
  return documents.join('---\n');
}

function changeOf(address: string): number {
  const [, , high, low] = address.split('.');
  return Number(high) * 256 + Number(low);
}
