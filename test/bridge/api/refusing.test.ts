import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { CarriedCall } from '../../../src/bridge/carried-call.ts';
import { RefusingCarrier } from '../../../src/bridge/refusing-carrier.ts';
import { onDefect } from '../../../src/proxy/http.ts';
import { eventually } from '../../harness/client.ts';
import { problemOf, requestText, sceneFor } from './scene.ts';

test('without a broker every call is told so, whatever it sends, and the connection goes on', async (t) => {
  const refuse = (): RefusingCarrier =>
    new RefusingCarrier(new MessageProblem('no-broker', 'No NATS server is configured'));
  const { client } = await sceneFor(t, {}, { carriers: { api: refuse, subject: refuse } });
  const one = await client();
  for (const body of [undefined, 'x', 'x'.repeat(100_000)]) {
    one.send(requestText('POST /v1/publish/a', [], body));
    const reply = await one.reply();
    assert.equal(reply.status, 503);
    assert.deepEqual(reply.faults, []);
    assert.deepEqual([problemOf(reply)['code'], problemOf(reply)['outcome']], ['no-broker', 'not-sent']);
  }
  one.send(requestText('HEAD /v1'));
  const head = await one.reply({ method: 'HEAD' });
  assert.deepEqual([head.status, head.body], [503, '']);
});

/** It answers itself within the call, so that what follows on the connection begins at the end of the turn. */
class Defective extends CarriedCall {
  protected override begin(): void {
    if (this.head.text(this.head.pathStart, this.head.targetEnd) === '/defect') throw new Error('A defect');
    this.reply(200, [], undefined);
  }
}

test('a defect in the call behind another one costs that call, not the thread', async (t) => {
  const defects: string[] = [];
  onDefect((error) => {
    defects.push(String(error));
  });
  t.after(() => {
    onDefect((error) => {
      throw error;
    });
  });
  const carrier = (): CarriedCall => new Defective();
  const { client, call } = await sceneFor(t, {}, { carriers: { api: carrier, subject: carrier } });
  const one = await client();
  one.send(requestText('GET /') + requestText('GET /defect'));
  assert.equal((await one.reply()).status, 200);
  await eventually(() => defects.length === 1);
  assert.deepEqual(defects, ['Error: A defect']);
  assert.equal((await call('GET /')).status, 200);
});
