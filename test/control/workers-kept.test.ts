import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { Workers } from '../../src/control/workers.ts';
import type { Change, Frontend } from '../../src/model/snapshot.ts';
import { allocateMeters } from '../../src/telemetry.ts';
import { allocateShared, BUCKET_BYTES } from '../../src/shared.ts';
import { eventually } from '../harness/client.ts';
import { settingsOf } from '../harness/settings.ts';

const FRONTEND: Frontend = { namespace: 'shop', name: 'orders', enabled: true, clusterIps: [], ports: [] };
/** Nothing that compile makes is like this: it stands for a defect. */
const POISON = { ...FRONTEND, name: 'poison', clusterIps: null } as unknown as Frontend;

function change(from: number, generation: number, ...put: Frontend[]): Change {
  return {
    from,
    generation,
    clusterDomain: 'cluster.local',
    frontends: { put, gone: [] },
    backends: { put: [], gone: [] },
    routings: { put: [], gone: [] },
    workloads: { put: [], gone: [] },
    subscriptions: { put: [], gone: [] },
    policies: { put: [], gone: [] },
  };
}

test('a worker that cannot apply a generation keeps its plan, says so, and gets the next one whole', async (t) => {
  const told: string[] = [];
  const channels: MessageChannel[] = [];
  const logPort = (): MessageChannel['port2'] => {
    const channel = new MessageChannel();
    channels.push(channel);
    return channel.port2;
  };
  const memory = { meters: allocateMeters(1), shared: allocateShared(1, BUCKET_BYTES) };
  const workers = new Workers(settingsOf({ workers: '1' }), memory, logPort, {
    onApplied: (_, generation) => told.push(`applied ${generation}`),
    onKept: (_, generation, reason) => told.push(`kept ${generation} ${reason.startsWith('TypeError')}`),
    onBatch: () => {},
    onBridge: () => {},
    onDefect: (_, stack) => told.push(stack),
    onLost: (_, reason) => told.push(reason),
  });
  t.after(async () => {
    await workers.stop();
    for (const { port1 } of channels) port1.close();
  });
  const until = async (line: string): Promise<void> =>
    eventually(() => told.includes(line), { what: line, waitMs: 20_000 });

  workers.publish(change(0, 1, FRONTEND), () => change(0, 1, FRONTEND));
  await until('applied 1');
  workers.publish(change(1, 2, POISON), () => change(0, 2, FRONTEND, POISON));
  await until('kept 2 true');
  assert.equal(workers.applied, 1);
  let wholes = 0;
  workers.publish(change(2, 3), () => {
    wholes++;
    return change(0, 3, FRONTEND);
  });
  await until('applied 3');
  assert.equal(wholes, 1);
  assert.deepEqual(told, ['applied 1', 'kept 2 true', 'applied 3']);
});
