import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_BACKEND_POLICY, NO_TIMEOUTS } from '../../src/model/resilience.ts';
import { NO_POLICY } from '../../src/model/routing.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import type { Backend, BackendId } from '../../src/model/snapshot.ts';
import { RefusingCarrier } from '../../src/bridge/refusing-carrier.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';
import { LiveBackend } from '../../src/proxy/balance.ts';
import { FrontendTable, LiveRouting } from '../../src/proxy/route.ts';
import { emptyPlan } from '../../src/worker/plan.ts';
import { exchange } from '../harness/client.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { accessOf } from './api/scene.ts';
import { FakeLink } from './api/fake-link.ts';

const ID = 'test/orders:80' as BackendId;
const BACKEND: Backend = {
  id: ID,
  namespace: 'test',
  name: 'orders',
  port: 80,
  endpoints: [],
  subject: { template: 'orders', does: 'request', ack: 'server' },
  session: undefined,
  policy: DEFAULT_BACKEND_POLICY,
};
const FRONTEND = {
  namespace: 'test',
  name: 'orders',
  enabled: true,
  clusterIps: [],
  ports: [{ port: 80, name: '', backend: ID, targetPorts: [] }],
};
const POLICY = { ...NO_POLICY, timeouts: { ...NO_TIMEOUTS, requestMs: 2000 } };

/** How long the answers to these requests may take, as whoever carries them hears it. */
async function timesOf(fields: readonly string[]): Promise<readonly number[]> {
  const times: number[] = [];
  const bridge = await BridgeListener.start({
    link: new FakeLink(),
    access: accessOf(),
    carriers: {
      api: () => assert.fail('Expected no call of the API'),
      subject: (_backend, _target, replyMs) => {
        times.push(replyMs);
        return new RefusingCarrier(new MessageProblem('no-broker', 'Not of interest'));
      },
    },
    planOf: (context) => ({
      ...emptyPlan('cluster.local'),
      frontends: new FrontendTable({ frontends: [FRONTEND], clusterDomain: 'cluster.local' }),
      backends: new Map([[ID, new LiveBackend({ backend: BACKEND, row: ROW_FIRST, endpointRows: [] }, context)]]),
      routings: new Map([[ID, new LiveRouting({ id: ID, policy: POLICY, consumers: {}, all: undefined }, context)]]),
    }),
  });
  try {
    for (const field of fields) await exchange(bridge.port, `GET / HTTP/1.1\r\nHost: orders.test\r\n${field}\r\n`);
  } finally {
    await bridge.stop();
  }
  return times;
}

test('the answer of a subject may take as long as its Service says, and less if the caller gives less', async () => {
  const fields = ['', 'x-heddle-timeout-ms: 500\r\n', 'x-heddle-timeout-ms: 60000\r\n', ''];
  assert.deepEqual(await timesOf(fields), [2000, 500, 2000, 2000]);
});
