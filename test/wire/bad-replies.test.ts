import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, exchange } from '../harness/client.ts';
import { replyCorpus, type ReplyCase } from '../harness/corpus.ts';
import { judgeReply } from '../harness/judge.ts';
import { type LaneManifests, Lanes } from '../harness/lanes.ts';
import type { Request } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { ruledLane } from '../harness/ruled-lane.ts';
import type { UpstreamConnection } from '../harness/upstream.ts';

/** `should` cases that Heddle decides otherwise, with the reason. */
const DECIDED_OTHERWISE: Readonly<Record<string, string>> = {};

const cases = new Map(replyCorpus().map((testCase) => [testCase.id, testCase]));

let lanes: Lanes;
/** With rules, which all mirror to one place: what is answered there is hostile too. */
let ruled: Lanes;
let mirror: Recorder;
before(async () => {
  mirror = await Recorder.start(answerHostile);
  const laneOf = (name: string, address: string): LaneManifests => ruledLane(name, address, mirror.address);
  lanes = await Lanes.start(16, { respond: answerHostile });
  ruled = await Lanes.start(16, { respond: answerHostile, laneOf });
});
after(async () => {
  await lanes.stop();
  await ruled.stop();
  await mirror.stop();
});

describe('hostile replies, whole', { concurrency: 16 }, () => {
  for (const testCase of cases.values()) {
    const decision = DECIDED_OTHERWISE[testCase.id];
    test(testCase.id, decision === undefined ? {} : { todo: decision }, async () => check(testCase, 'whole'));
  }
});

describe('hostile replies, byte by byte', { concurrency: 16 }, () => {
  for (const testCase of [...cases.values()].filter(({ id, raw }) => raw.length <= 200 && !(id in DECIDED_OTHERWISE))) {
    test(testCase.id, async () => check(testCase, 'bytes'));
  }
});

describe('hostile replies through rules', { concurrency: 16 }, () => {
  for (const testCase of [...cases.values()].filter(({ id }) => !(id in DECIDED_OTHERWISE)))
    test(testCase.id, async () => check(testCase, 'whole', ruled));
});

async function check(testCase: ReplyCase, manner: 'whole' | 'bytes', through: Lanes = lanes): Promise<void> {
  await through.use(async ({ authority }, mesh) => {
    const client = await Client.connect(mesh.port);
    client.send(`${testCase.method} /x/${testCase.id}/${manner} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    await client.until(() => client.received !== '' || client.closing !== undefined, { waitMs: 1500 }).catch(() => {});
    await client.quiet(350);
    const reasons = judgeReply(testCase, client);
    client.destroy();
    for (const path of ['/clean/1', '/clean/2']) {
      const next = await exchange(mesh.port, `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
      if (next.status !== 200 || next.body !== path) reasons.push(`The next client got ${next.status} ${next.body}`);
    }
    assert.deepEqual(reasons, [], `${testCase.id} (${testCase.source})`);
  });
}

function answerHostile(request: Request, connection: UpstreamConnection): void {
  const [, id = '', manner] = /^\/x\/([\w-]+)\/(\w+)$/.exec(request.target) ?? [];
  const testCase = cases.get(id);
  if (testCase === undefined) {
    connection.send(okReply(request, request.target));
    return;
  }
  const finish = (): void => {
    if (testCase.end === 'fin') connection.socket.end();
    if (testCase.end === 'rst') setTimeout(() => connection.socket.resetAndDestroy(), 30);
  };
  if (manner === 'whole') {
    connection.send(testCase.raw);
    finish();
  } else {
    sendBytewise(connection, testCase.raw, finish);
  }
}

function sendBytewise(connection: UpstreamConnection, text: string, done: () => void): void {
  if (text === '') return done();
  connection.send(text.slice(0, 1));
  setTimeout(() => sendBytewise(connection, text.slice(1), done), 1);
}
