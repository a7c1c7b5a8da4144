import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Access, Credentials } from '../../../../src/control/discovery/kubernetes/access.ts';
import { openAccess } from '../../../../src/control/discovery/kubernetes/way.ts';
import { ApiClient } from '../../../../src/control/discovery/kubernetes/api.ts';
import type { ConnectionTimings } from '../../../../src/control/discovery/kubernetes/connections.ts';
import { ApiServer, type ApiServerOptions } from '../../../harness/api-server.ts';
import { eventually, sleep } from '../../../harness/client.ts';
import { apiServer, FAST, Follower, service, SERVICES } from './follower.ts';

async function client(t: TestContext, server: ApiServer, timings: Partial<ConnectionTimings> = {}): Promise<ApiClient> {
  const access = await openAccess({ kubeconfig: server.kubeconfig(), context: undefined });
  const api = new ApiClient(access, { ...FAST, ...timings });
  t.after(() => {
    api.close();
  });
  return api;
}

async function both(t: TestContext, options: ApiServerOptions): Promise<{ server: ApiServer; api: ApiClient }> {
  const server = await apiServer(t, options);
  return { server, api: await client(t, server) };
}

describe('requests', () => {
  for (const protocol of ['plain', 'http/1.1', 'h2'] as const) {
    test(`are answered with status and meaning (${protocol})`, async (t) => {
      const { api } = await both(t, { protocol });
      assert.deepEqual(await api.request('/version'), {
        status: 200,
        retryAfterMs: undefined,
        body: { major: '1', minor: '35' },
      });
      const { status, body } = await api.request('/nothing');
      assert.equal(status, 404);
      assert.equal((body as { code: number }).code, 404);
    });

    test(`end after their time (${protocol})`, async (t) => {
      const { server, api } = await both(t, { protocol });
      server.deed = () => 'nothing';
      await assert.rejects(api.request('/version', { timeoutMs: 100 }), /No whole answer in 100 ms/);
      server.deed = () => ({ body: '{', after: 'nothing' });
      await assert.rejects(api.request('/version', { timeoutMs: 100 }), /No whole answer in 100 ms/);
    });

    test(`end when they are aborted (${protocol})`, async (t) => {
      const { server, api } = await both(t, { protocol });
      server.deed = () => 'nothing';
      const abort = new AbortController();
      const request = api.request('/version', { signal: abort.signal });
      setTimeout(() => {
        abort.abort(new Error('No longer of interest'));
      }, 20);
      await assert.rejects(request, /No longer of interest/);
    });

    test(`fail when the API is closed, at once and later (${protocol})`, async (t) => {
      const { server, api } = await both(t, { protocol });
      server.deed = () => 'nothing';
      const request = api.request('/version');
      await eventually(() => server.asks.length === 1);
      api.close();
      await assert.rejects(request);
      await assert.rejects(api.request('/version'), /closed/);
    });

    test(`that are cut off fail (${protocol})`, async (t) => {
      const { server, api } = await both(t, { protocol });
      server.deed = () => ({ body: '{"major":', after: 'reset' });
      await assert.rejects(api.request('/version'));
    });
  }

  test('carry a body as JSON', async (t) => {
    const { server, api } = await both(t, { protocol: 'h2' });
    await api.request('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body: { kind: 'x' } });
    assert.equal(server.asks[0]!.method, 'POST');
  });

  test('have answers of at most 16 MiB', async (t) => {
    const { server, api } = await both(t, {});
    server.deed = () => ({ body: 'x'.repeat(17 * 1024 * 1024), after: 'end' });
    await assert.rejects(api.request('/version'), /at most 16777216 bytes/);
  });

  test('to a server that is not trusted fail', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    const other = await apiServer(t, { protocol: 'h2' });
    const trust = { 'certificate-authority-data': Buffer.from(other.certificate).toString('base64') };
    const kubeconfig = server.kubeconfig({ cluster: trust });
    const api = new ApiClient(await openAccess({ kubeconfig, context: undefined }));
    await assert.rejects(api.request('/version'), /self-signed certificate|unable to verify/);
    api.close();
  });
});

test('a connection whose credentials come after the end is not made', async (t) => {
  const server = await apiServer(t, { protocol: 'h2' });
  const { promise, resolve } = Promise.withResolvers<Credentials>();
  const access: Access = {
    server: new URL(server.url),
    credentials: async () => promise,
    refused: () => undefined,
    close: () => undefined,
  };
  const api = new ApiClient(access, FAST);
  const protocol = api.protocol();
  api.close();
  resolve({ tls: { ca: server.certificate }, headers: {} });
  await assert.rejects(protocol, /closed/);
  await sleep(50);
  assert.equal(server.network.connections, 0);
});

describe('one connection', () => {
  test('carries all watches over HTTP/2', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    await Follower.start(t, server);
    assert.equal(server.network.connections, 1);
  });

  test('is kept for one request after the other over HTTP/1.1', async (t) => {
    const { server, api } = await both(t, { protocol: 'plain' });
    for (let index = 0; index < 5; index++) await api.request('/version');
    assert.equal(server.network.connections, 1);
  });

  test('is followed by another one when the server says GOAWAY, and watches that are open go on', async (t) => {
    const { server, api } = await both(t, { protocol: 'h2' });
    const abort = new AbortController();
    const { chunks } = await api.stream(`${SERVICES}?watch=true&resourceVersion=100`, { signal: abort.signal });
    const reader = chunks[Symbol.asyncIterator]();
    await reader.next();
    server.goAway();
    await eventually(() => server.network.connections === 1);
    await eventually(() => {
      void api.request('/version').catch(() => undefined);
      return server.network.connections === 2;
    });
    server.put(SERVICES, service('later'));
    const { value } = (await reader.next()) as { value: Buffer };
    assert.match(value.toString(), /"later"/);
    abort.abort();
    await assert.rejects(reader.next());
  });

  test('that is half open is found by a PING without an answer, and all is taken up again', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    const timings = { pingMs: 100, pingAnswerMs: 200, connectMs: 300 };
    const follower = await Follower.start(t, server, { timings });
    server.network.freeze();
    await follower.until('failures', () => follower.kind('Service').errors > 0);
    server.network.thaw();
    server.put(SERVICES, service('a', 9));
    await follower.untilState('a=9');
    await follower.until('all to be live', () => follower.status.fresh);
  });

  test('that is half open is found over HTTP/1.1 when a watch does not end in time', async (t) => {
    const server = await apiServer(t, { protocol: 'http/1.1' });
    const timings = { watchAloneMs: 400, watchLateMs: 100, answerMs: 300, connectMs: 300 };
    const follower = await Follower.start(t, server, { timings });
    server.network.freeze();
    await follower.until('failures', () => follower.kind('Service').errors > 0);
    server.network.thaw();
    server.put(SERVICES, service('a', 9));
    await follower.untilState('a=9');
    await follower.until('all to be live', () => follower.status.fresh);
  });

  test('on which a watch says nothing at all, not even a bookmark, is not trusted for ever', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    const follower = await Follower.start(t, server, { timings: { silentMs: 300 } });
    server.muted = true;
    server.put(SERVICES, service('a', 9));
    await follower.untilState('a=9');
    assert.equal(server.asksFor(SERVICES, 'watch-list').length, 1);
  });
});

describe('an API server that is away', () => {
  test('is followed again as soon as it is back, from the last version', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    const follower = await Follower.start(t, server, { timings: { staleMs: 100 } });
    await server.network.close();
    await follower.until('it to be stale', () => follower.kind('Service').state === 'stale');
    assert.equal(follower.status.fresh, false);
    await follower.until('a problem', () => follower.lines.some((line) => line.includes('ECONNREFUSED')));
    assert.equal(follower.lines.length, 1);
    assert.equal(follower.state, 'a=1');
    server.put(SERVICES, service('a', 2));
    await server.network.open();
    await follower.untilState('a=2');
    await follower.until('no problem', () => follower.lines.length === 0 && follower.status.fresh);
    assert.equal(server.asksFor(SERVICES, 'watch-list').length, 1);
  });

  test('at the start is waited for', async (t) => {
    const server = await apiServer(t);
    await server.network.close();
    const follower = new Follower(t, server.kubeconfig());
    await follower.until('failures', () => (follower.kind('Service')?.errors ?? 0) >= 2);
    assert.deepEqual(follower.handedOver, []);
    await server.network.open();
    await follower.untilState('a=1');
  });
});

test('nothing is left running after the end', async () => {
  const before = process.getActiveResourcesInfo().filter((one) => /TCP|TLS|Timeout/.test(one)).length;
  const server = await ApiServer.start({ protocol: 'h2' });
  const hooks: (() => unknown)[] = [];
  const t = { after: (hook: () => unknown) => hooks.push(hook) } as unknown as TestContext;
  const follower = new Follower(t, server.kubeconfig());
  await follower.until('a first state', () => follower.handedOver.length === 1);
  for (const hook of hooks) hook();
  await server.stop();
  await eventually(
    () => process.getActiveResourcesInfo().filter((one) => /TCP|TLS|Timeout/.test(one)).length <= before + 1,
  );
});
