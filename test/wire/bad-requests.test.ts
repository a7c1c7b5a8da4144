import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, exchange, sleep } from '../harness/client.ts';
import { CORPUS_AUTHORITY, requestCorpus, type RequestCase } from '../harness/corpus.ts';
import { judgeRequest } from '../harness/judge.ts';
import { Lanes, type Lane } from '../harness/lanes.ts';
import { valueOf } from '../harness/message.ts';
import { Recorder } from '../harness/recorder.ts';
import { ruledLane } from '../harness/ruled-lane.ts';

/** `should` cases that Heddle decides otherwise, with the reason. */
const DECIDED_OTHERWISE: Readonly<Record<string, string>> = {
  'hop-upgrade-unknown': 'Any protocol may be asked for: the endpoint decides, and without its 101 there is no tunnel',
};

/** Texts up to this length are also sent in pieces. */
const SMALL = 420;

let lanes: Lanes;
/** With rules, which all mirror to one place. */
let ruled: Lanes;
let mirror: Recorder;
before(async () => {
  mirror = await Recorder.start();
  lanes = await Lanes.start(32);
  ruled = await Lanes.start(32, { laneOf: (name, address) => ruledLane(name, address, mirror.address) });
});
after(async () => {
  await lanes.stop();
  await ruled.stop();
  await mirror.stop();
});

const cases = requestCorpus();

describe('bad requests, whole', { concurrency: 32 }, () => {
  for (const testCase of cases) {
    const decision = DECIDED_OTHERWISE[testCase.id];
    test(testCase.id, decision === undefined ? {} : { todo: decision }, async () => check(testCase, (raw) => [raw]));
  }
});

describe('bad requests, cut in two', { concurrency: 32 }, () => {
  for (const testCase of cases.filter(({ id, raw }) => raw.length <= SMALL && !(id in DECIDED_OTHERWISE))) {
    // Three cuts each: inside the first line, inside the head, near the end; the fuzz test cuts at every byte.
    for (const share of [0.1, 0.55, 0.95]) {
      const at = Math.max(1, Math.floor(testCase.raw.length * share));
      test(`${testCase.id} at ${at}`, async () => check(testCase, (raw) => [raw.slice(0, at), raw.slice(at)], 120));
    }
  }
});

describe('bad requests, byte by byte', { concurrency: 32 }, () => {
  for (const testCase of cases.filter(({ id, raw }) => raw.length <= SMALL && !(id in DECIDED_OTHERWISE))) {
    test(testCase.id, async () => check(testCase, (raw) => raw.split(''), 200));
  }
});

describe('bad requests through rules', { concurrency: 32 }, () => {
  for (const testCase of cases.filter(({ id }) => !(id in DECIDED_OTHERWISE)))
    test(testCase.id, async () => check(testCase, (raw) => [raw], 300, ruled));
  for (const testCase of cases.filter(({ id, raw }) => raw.length <= SMALL && !(id in DECIDED_OTHERWISE))) {
    const at = Math.floor(testCase.raw.length / 2);
    test(`${testCase.id} at ${at}`, async () =>
      check(testCase, (raw) => [raw.slice(0, at), raw.slice(at)], 120, ruled));
  }
});

test('a lane with rules has them in force', async () => {
  await ruled.use(async ({ authority, recorder }, mesh) => {
    const head = `GET / HTTP/1.1\r\nHost: ${authority}\r\nOrigin: http://a.example\r\nx-heddle-explain: 1\r\n\r\n`;
    const reply = await exchange(mesh.port, head);
    const names = ['x-lane', 'x-lane-more', 'x-lane-session', 'access-control-allow-origin', 'x-heddle-explain'];
    for (const name of names) assert.notEqual(valueOf(reply, name), undefined, name);
    assert.match(valueOf(reply, 'x-heddle-explain')!, /faults=throttle .*mirrors=1/);
    const [recording] = recorder.take();
    assert.equal(valueOf(recording!.requests[0]!, 'x-lane'), 'ours');
  });
});

test('a mirror gets whole and well-formed requests, and nothing that was refused', async () => {
  const recordings = mirror.take();
  assert.ok(recordings.length > 0);
  for (const { requests, rest } of recordings) {
    assert.equal(rest, '');
    assert.deepEqual(
      requests.filter(({ faults, complete }) => !complete || faults.length > 0),
      [],
    );
  }
});

async function check(
  testCase: RequestCase,
  cut: (raw: string) => string[],
  quietMs = 300,
  through: Lanes = lanes,
): Promise<void> {
  await through.use(async (lane, mesh) => {
    const client = await Client.connect(mesh.port);
    try {
      const reasons = await run(testCase, lane, client, cut, quietMs);
      assert.deepEqual(reasons, [], `${testCase.id} (${testCase.source})`);
    } finally {
      client.destroy();
    }
  });
}

async function run(
  testCase: RequestCase,
  lane: Lane,
  client: Client,
  cut: (raw: string) => string[],
  quietMs: number,
): Promise<string[]> {
  const { raw, then = [], halfClose = false, expect } = onLane(testCase, lane);
  lane.recorder.forget();
  await client.sendPieces(cut(raw), 1);
  for (const { delayMs, raw: later } of then) {
    await sleep(delayMs);
    client.send(later);
  }
  if (halfClose) {
    await sleep(50);
    client.end();
  }
  client.lastEventMs = performance.now();
  // A first sign may take longer than the next ones.
  await client.until(() => client.received !== '' || client.closing !== undefined, { waitMs: 700 }).catch(() => {});
  await client.quiet(quietMs);
  const { received, closing } = client;
  client.destroy();
  // What is incomplete upstream must be given up once the client is gone.
  await sleep(40);
  return judgeRequest(
    { ...testCase, expect },
    { received, closed: closing !== undefined, upstream: lane.recorder.take(), sent: raw },
  );
}

/** The same case with the lane's authority. */
function onLane(testCase: RequestCase, lane: Lane): RequestCase {
  return JSON.parse(JSON.stringify(testCase).replaceAll(CORPUS_AUTHORITY, lane.authority)) as RequestCase;
}
