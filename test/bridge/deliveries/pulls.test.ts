import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { Pulls } from '../../../src/bridge/deliveries/pulls.ts';
import { TIMINGS } from '../../../src/bridge/deliveries/timings.ts';

interface Asked {
  readonly inbox: string;
  readonly batch: number;
  readonly max_bytes?: number;
}

/** A connection that notes what is asked for, and a consumer that a test plays. */
class Stage {
  readonly asked: Asked[] = [];
  readonly messages: string[] = [];
  readonly troubles: string[] = [];
  credit = 4;
  readonly pulls: Pulls;
  #callback: (error: Error | null, message: Msg) => void = () => {};

  constructor() {
    const connection = {
      subscribe: (_: string, { callback }: { callback: (error: Error | null, message: Msg) => void }) => {
        this.#callback = callback;
        return { drain: () => Promise.resolve() };
      },
      publish: (subject: string, body: string, { reply }: { reply: string }) => {
        assert.equal(subject, '$JS.API.CONSUMER.MSG.NEXT.ORDERS.durable');
        this.asked.push({ inbox: reply, ...(JSON.parse(body) as { batch: number; max_bytes?: number }) });
      },
    };
    const { messages, troubles } = this;
    const getCredit = (): number => this.credit;
    const owner = {
      get credit(): number {
        return getCredit();
      },
      onMessage: ({ subject }: Msg) => void messages.push(subject),
      onTrouble: (reason: string) => void troubles.push(reason),
    };
    this.pulls = new Pulls(owner, connection as unknown as NatsConnection, {
      stream: 'ORDERS',
      consumer: 'durable',
      inbox: '_INBOX_test.a',
      maxPayload: 1000,
      timings: TIMINGS,
    });
  }

  brings(subject: string): void {
    this.#callback(null, { subject } as Msg);
  }

  says(code: number, description: string, inbox = this.asked.at(-1)!.inbox): void {
    this.#callback(null, { subject: inbox, headers: { code, description } } as unknown as Msg);
  }

  async wants(): Promise<void> {
    this.pulls.want();
    await turn();
  }
}

test('asks once a turn, for all that is free', async () => {
  const stage = new Stage();
  stage.pulls.want();
  stage.pulls.want();
  await turn();
  assert.deepEqual(
    stage.asked.map(({ batch }) => batch),
    [4],
  );
});

test('asks for no more while a pull waits, and again as soon as it is used up', async () => {
  const stage = new Stage();
  await stage.wants();
  stage.credit = 100;
  await stage.wants();
  assert.equal(stage.asked.length, 1);
  for (let n = 0; n < 4; n++) stage.brings(`orders.${n}`);
  await turn();
  assert.deepEqual(
    stage.asked.map(({ batch }) => batch),
    [4, 100],
  );
  assert.equal(stage.messages.length, 4);
});

test('asks for nothing without credit', async () => {
  const stage = new Stage();
  stage.credit = 0;
  await stage.wants();
  assert.deepEqual(stage.asked, []);
});

test('a pull that ends empty is followed by another', async () => {
  const stage = new Stage();
  await stage.wants();
  stage.says(408, 'Request Timeout');
  await turn();
  assert.equal(stage.asked.length, 2);
});

test('what is said of an older pull is of no interest', async () => {
  const stage = new Stage();
  await stage.wants();
  const { inbox } = stage.asked[0]!;
  stage.says(408, 'Request Timeout');
  await turn();
  stage.says(409, 'Consumer Deleted', inbox);
  assert.deepEqual(stage.troubles, []);
  assert.equal(stage.pulls.waits, true);
});

test('a message that is larger than what a pull may bring is asked for alone', async () => {
  const stage = new Stage();
  await stage.wants();
  assert.equal(stage.asked[0]!.max_bytes, 2 * 1024 * 1024);
  stage.says(409, 'Message Size Exceeds MaxBytes');
  await turn();
  assert.deepEqual([stage.asked[1]!.batch, stage.asked[1]!.max_bytes], [1, undefined]);
  stage.brings('orders.large');
  await turn();
  assert.equal(stage.asked[2]!.max_bytes, 2 * 1024 * 1024);
});

test('a consumer that is gone is told, and so is one that says nothing', async () => {
  for (const act of [
    (stage: Stage) => stage.says(409, 'Consumer Deleted'),
    (stage: Stage) => stage.says(503, 'No Responders'),
    (stage: Stage) => stage.pulls.tick(performance.now() + 3 * TIMINGS.heartbeatMs + 1),
  ]) {
    const stage = new Stage();
    await stage.wants();
    act(stage);
    assert.equal(stage.troubles.length, 1);
    await stage.wants();
    assert.equal(stage.asked.length, 1);
  }
});

test('a server that is about to end is asked again a little later', async () => {
  const stage = new Stage();
  await stage.wants();
  stage.says(409, 'Server Shutdown');
  await stage.wants();
  assert.equal(stage.asked.length, 1);
  assert.deepEqual(stage.troubles, []);
});
