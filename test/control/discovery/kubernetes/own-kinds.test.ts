/** Kinds of our own, which a cluster has once their definitions are there. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually, sleep } from '../../../harness/client.ts';
import { apiServer, directory, Follower, service, SERVICES } from './follower.ts';

const SUBSCRIPTIONS = '/apis/heddle.dev/v1alpha1/subscriptions';
const POLICIES = '/apis/heddle.dev/v1alpha1/natspolicies';
const POLICY = { metadata: { name: 'shop' }, spec: { from: [{}], publish: { allow: ['orders.>'] } } };
const SUBSCRIPTION = {
  metadata: { name: 'bills', namespace: 'shop' },
  spec: { source: { subjects: ['orders.created'] }, deliver: { serviceRef: { name: 'billing' } } },
};

function policiesOf({ now }: Follower): string {
  return (now?.natsPolicies ?? []).map(({ publish }) => publish.allow.join(',')).join(' ');
}

describe('a cluster without the definitions', () => {
  test('is followed without them, and nothing is wrong with it', async (t) => {
    const follower = await Follower.start(t, await apiServer(t));
    assert.deepEqual([follower.now?.subscriptions, follower.now?.natsPolicies, follower.lines], [[], [], []]);
  });

  test('gets them while we run', async (t) => {
    const server = await apiServer(t);
    const follower = await Follower.start(t, server);
    for (const path of [SUBSCRIPTIONS, POLICIES]) server.define(path);
    server.put(POLICIES, POLICY);
    server.put(SUBSCRIPTIONS, SUBSCRIPTION);
    await follower.until('both', () => follower.now?.subscriptions.length === 1 && policiesOf(follower) === 'orders.>');
    assert.deepEqual(follower.now?.subscriptions[0]?.service, { name: 'billing', port: '' });
  });
});

describe('policies', () => {
  test('are waited for: nothing is handed over while what they say is on its way', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.put(POLICIES, POLICY);
    let isHeld = true;
    server.deed = ({ path }) => (path === POLICIES && isHeld ? 'nothing' : undefined);
    const follower = new Follower(t, server.kubeconfig(), { timings: { answerMs: 500, staleMs: 60_000 } });
    await follower.until('Services to be read', () => follower.kind('Service')?.state === 'live');
    await sleep(200);
    assert.equal(follower.handedOver.length, 0);
    isHeld = false;
    await follower.until('the first state', () => follower.handedOver.length > 0);
    assert.equal(policiesOf(follower), 'orders.>');
    assert.equal(follower.handedOver[0], follower.now);
  });

  test('that nobody lets us read hold nothing up, and the rule that is missing is named', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.deed = ({ path }) => (path === POLICIES ? { status: 403 } : undefined);
    const follower = new Follower(t, server.kubeconfig());
    await follower.untilState('a=1');
    await follower.until('the problem', () => follower.lines.length > 0);
    assert.match(follower.lines[0]!, /^ClusterRole heddle: rules: .*get, list and watch of natspolicies\.heddle\.dev/);
  });

  test('that cannot be read for long hold nothing up any longer', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.deed = ({ path }) => (path === POLICIES ? { status: 500 } : undefined);
    const follower = new Follower(t, server.kubeconfig(), { timings: { staleMs: 300 } });
    await follower.untilState('a=1');
    assert.equal(policiesOf(follower), '');
  });

  test('that change are handed over though nothing else does', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.put(POLICIES, POLICY);
    const follower = await Follower.start(t, server);
    server.put(POLICIES, { ...POLICY, spec: { from: [{}], publish: { allow: ['orders.>'], deny: ['orders.admin'] } } });
    await follower.until('the deny', () => follower.now?.natsPolicies[0]?.publish.deny[0] === 'orders.admin');
  });

  test('of which one is not understood any more stay as they last were', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.put(POLICIES, POLICY);
    const follower = await Follower.start(t, server);
    server.put(POLICIES, { ...POLICY, spec: { from: [{}], publish: { allow: 'everything' } } });
    await follower.until('the problem', () => follower.lines.length > 0);
    assert.match(follower.lines[0]!, /^NatsPolicy shop: spec\.publish\.allow: expected a list/);
    server.put(SERVICES, service('b'));
    await follower.untilState('a=1 b=1');
    assert.equal(policiesOf(follower), 'orders.>');
  });

  test('come out of the snapshot file while the API server is away', async (t) => {
    const server = await apiServer(t);
    server.define(POLICIES);
    server.put(POLICIES, POLICY);
    const snapshotFile = join(directory(t), 'snapshot');
    const settings = { snapshotFile };
    const first = await Follower.start(t, server, { settings });
    // What is not written yet is written now.
    first.stop();
    await eventually(() => existsSync(snapshotFile), { what: 'a snapshot file' });
    server.deed = () => 'nothing';
    const second = new Follower(t, server.kubeconfig(), { settings });
    await second.until('the snapshot', () => second.handedOver.length > 0);
    assert.equal(policiesOf(second), 'orders.>');
  });
});
