/** What a node shows of retries, ejection and limits while it carries traffic: admin side, access log, metrics. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { BackendsAnswer, EndpointsAnswer, EndpointView, ExplainAnswer } from '../../src/model/admin.ts';
import { exchange } from '../harness/client.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { accessLine, accessLines, ask, exposition, withMesh } from '../harness/telemetry.ts';
import { refusedAddress } from '../harness/upstream.ts';

const FLAGS = ['--admin-listen=127.0.0.1:0', '--access-log=all'];
const REQUESTS_MAX = 60;

let recorder: Recorder;
let down: string;
before(async () => {
  recorder = await Recorder.start((request, connection) => {
    connection.send(okReply(request));
  });
  down = await refusedAddress();
});
after(() => recorder.stop());

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: orders.shop\r\n\r\n`;
}

test('an endpoint that is down is shown as ejected, the attempt there in the access log, and the retry in the metrics', async () => {
  const annotations = { 'heddle.dev/outlier': 'consecutive=1, base=20s, max-eject=50%' };
  const services = [{ name: 'orders', namespace: 'shop', endpoints: [recorder.address, down], annotations }];
  await withMesh({ flags: FLAGS, services, workers: 2 }, async (mesh) => {
    let views: readonly EndpointView[] = [];
    // By chance: which endpoint is first is nobody's choice.
    for (let sent = 0; sent < REQUESTS_MAX && !views.some(({ state }) => state === 'out'); sent++) {
      assert.equal((await exchange(mesh.port, get(`/${sent}`))).status, 200);
      views = (await ask<EndpointsAnswer>(mesh, '/endpoints')).endpoints;
    }
    const out = views.find(({ address }) => address === down);
    assert.deepEqual([out?.state, out?.ejectedBy, out?.ejections], ['out', 'consecutive', 1], JSON.stringify(views));
    assert.ok(out!.ejectedMs! > 0 && out!.ejectedMs! <= 30_000, String(out?.ejectedMs));
    const line = await accessLine(mesh, { attemptFailures: `connect-failed@${down}` });
    assert.deepEqual([line['status'], line['attempts'], line['endpoint']], [200, 2, recorder.address]);
    assert.ok(accessLines(mesh).every((one) => one['attempts'] !== 1 || !('attemptFailures' in one)));
    const samples = await exposition(mesh);
    const value = (name: string, label: string, text: string): number | undefined =>
      samples.find((one) => one.name === name && one.labels[label] === text && one.labels['service'] === 'orders')
        ?.value;
    assert.equal(value('heddle_retries_total', 'reason', 'connect-failure'), 1);
    assert.equal(value('heddle_attempts_total', 'failure', 'connect-failed'), 1);
    assert.equal(value('heddle_ejections_total', 'reason', 'consecutive'), 1);
    assert.equal(value('heddle_endpoint_ejected', 'endpoint', down), 1);
    assert.equal(value('heddle_endpoint_ejected', 'endpoint', recorder.address), 0);
  });
});

test('limits are shown with how full they are', async () => {
  const annotations = {
    'heddle.dev/max-in-flight': '7',
    'heddle.dev/ratelimit-average': '1/h',
    'heddle.dev/ratelimit-burst': '3',
    'heddle.dev/lb': 'ring-hash',
    'heddle.dev/circuit-breaker-expression': 'NetworkErrorRatio() > 0.9',
  };
  const services = [{ name: 'orders', namespace: 'shop', endpoints: [recorder.address], annotations }];
  await withMesh({ flags: FLAGS, services, workers: 2 }, async (mesh) => {
    assert.equal((await exchange(mesh.port, get('/'))).status, 200);
    const { backends } = await ask<BackendsAnswer>(mesh, '/backends?service=shop/orders');
    const [backend] = backends;
    assert.deepEqual(
      [backend?.inFlight, backend?.maxInFlight, backend?.waiting, backend?.breaker, backend?.endpointsUsable],
      [0, 7, 0, 'closed', 1],
    );
    assert.match(backend!.policy, /^lb ring-hash; lb-hash-on source; max-in-flight 7; circuit-breaker-expression /);
    const { explanation, load } = await ask<ExplainAnswer>(mesh, '/explain?url=http://orders.shop/&as=127.0.0.1');
    const { policy, left, nextMs } = explanation.rateLimit!;
    assert.deepEqual([policy, left], ['1/h, burst 3, per service', 2]);
    assert.ok(nextMs > 0 && nextMs <= 3_600_000, String(nextMs));
    assert.deepEqual([load?.maxInFlight, load?.breaker], [7, 'closed']);
    assert.deepEqual(explanation.backend?.hash, { on: 'source', endpoint: recorder.address });
  });
});
