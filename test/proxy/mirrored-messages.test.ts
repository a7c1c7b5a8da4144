/** Mirrors that are subjects: their copies are messages. */
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_DEEDS, type Rule } from '../../src/model/routing.ts';
import type { Backend, BackendId, SubjectTarget } from '../../src/model/snapshot.ts';
import { LiveBackend } from '../../src/proxy/balance.ts';
import { Decision } from '../../src/proxy/decide.ts';
import {
  type Carrier,
  type CarrierOwner,
  type Exchange,
  feedHead,
  Head,
  requestIsSound,
  startRequest,
} from '../../src/proxy/http.ts';
import { LiveRule, termsOf } from '../../src/proxy/route.ts';
import { Mirrors, Pressure } from '../../src/proxy/serve.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import { MeterReader, WorkerMeter } from '../../src/telemetry.ts';
import { SeededDice } from '../../src/lib/dice.ts';
import { settingsOf } from '../harness/settings.ts';
import { eventually } from '../harness/client.ts';
import { upstreamContext } from './upstream-context.ts';

const SUBJECT: SubjectTarget = { template: 'orders.seen', does: 'publish', ack: 'server' };
const BACKEND: Backend = {
  id: 'test/orders.seen?publish' as BackendId,
  namespace: 'test',
  name: 'orders.seen?publish',
  port: 0,
  endpoints: [],
  subject: SUBJECT,
  session: undefined,
  policy: DEFAULT_BACKEND_POLICY,
};
const RULE: Rule = {
  source: { object: 'HTTPRoute test/orders', field: 'spec.rules[0]', name: '' },
  ...NO_DEEDS,
  mirrors: [
    {
      field: 'spec.rules[0].filters[0].requestMirror',
      name: 'Subject orders.seen',
      backend: BACKEND.id,
      reason: '',
      share: 1,
      request: undefined,
    },
  ],
};

function exchangeOf(text: string): Exchange {
  const bytes = Buffer.from(text);
  const head = new Head(100, 2048);
  startRequest(head);
  assert.equal(feedHead(head, bytes, 0, bytes.length, { head: 2048, headers: 100, url: 1024 }), bytes.length);
  assert.ok(requestIsSound(head));
  const lines = Buffer.from('x-forwarded-host: ');
  const source = { address: '10.0.0.1', trusted: false, lines, hash: 1, listener: 'mesh', listenerPort: 4140 } as const;
  return { head, source, requestEnded: false } as Exchange;
}

/** Answers at once when the request is there. */
class Call implements Carrier {
  readonly reused = false;
  replyBegan = false;
  body = '';
  target = '';
  #owner!: CarrierOwner;

  start(owner: CarrierOwner, head: Head): void {
    this.#owner = owner;
    this.target = head.text(head.targetStart, head.targetEnd);
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    this.body += bytes.toString('latin1', start, end);
    return true;
  }

  end(): void {
    const head = new Head(1, 64);
    head.status = 202;
    this.#owner.onReply(head);
    this.#owner.onReplyEnd(undefined);
  }

  pause(): void {}
  resume(): void {}
  abort(): void {}
  discard(): void {}

  moved(): boolean {
    return false;
  }
}

test('a mirror that is a subject gets the request as a message', async () => {
  const upstream = upstreamContext();
  const call = new Call();
  const backend = new LiveBackend({ backend: BACKEND, row: ROW_FIRST, endpointRows: [] }, upstream);
  const context = {
    ...upstream,
    plan: { backends: new Map([[BACKEND.id, backend]]) },
    chance: new SeededDice(1),
    pressure: new Pressure(new WorkerMeter(upstream.meters, 0), new SeededDice(1)),
    messages: { api: () => assert.fail('Expected no call of the API'), subject: () => call },
  };
  const decision = new Decision();
  decision.rule = new LiveRule(RULE, termsOf(settingsOf(), []));
  decision.mirrors = 1;
  const exchange = exchangeOf('POST /seen HTTP/1.1\r\nhost: orders.test\r\ncontent-length: 2\r\n\r\n');
  const identity = { source: exchange.source, requestId: Buffer.from('an-id'), trace: undefined };
  const copy = new Mirrors().copy(context, { head: exchange.head, bodyless: false }, identity, decision);
  copy?.data(Buffer.from('hi'), 0, 2);
  // The request is over before its copy leaves.
  copy?.end();
  exchange.head.reset();
  const totals = (): ReturnType<MeterReader['backend']> => new MeterReader(upstream.meters).backend(ROW_FIRST);
  await eventually(() => totals().mirrored.length === 1);
  assert.deepEqual([call.target, call.body], ['/seen', 'hi']);
  assert.deepEqual([totals().mirrored, totals().mirrorsActive], [[['answered', 1]], 0]);
});
