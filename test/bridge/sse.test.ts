import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { EventStream, type Follower, Tail } from '../../src/bridge/api/sse.ts';
import { callRecord } from '../../src/bridge/api/record.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';
import { type CallOptions, FakeCall, openGrants } from './streams-call.ts';

const TICK_MS = 15_000;
const GRANT = openGrants().readStream('S');
const allowed = (): typeof GRANT => GRANT;

/** One that has its place until the test ends. */
function opened(t: TestContext, options: CallOptions = {}): { readonly call: FakeCall; readonly stream: EventStream } {
  const call = new FakeCall(options);
  const stream = EventStream.reserve(call, allowed);
  t.after(() => call.onAbort?.());
  if (stream === undefined) throw new Error(`Expected a place, got ${call.outcome}`);
  stream.begin([['nats-delivery', 'at-most-once']]);
  return { call, stream };
}

test('an event stream says that it is one, and that nobody is to keep it', (t) => {
  const { call } = opened(t);
  assert.deepEqual(Object.fromEntries(call.fields), {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'nats-delivery': 'at-most-once',
  });
});

test('a comment goes over a silent stream each 15 s, and none over one that is not silent', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { call, stream } = opened(t);
  t.mock.timers.tick(2 * TICK_MS);
  assert.match(call.text, /^:\n\n:\n\n$/);
  stream.write(Buffer.from('event: x\ndata: {}\n\n'));
  t.mock.timers.tick(TICK_MS);
  assert.deepEqual(call.events.length, 1);
  assert.match(call.text, /x\ndata: \{\}\n\n$/);
  call.stall();
  stream.write(Buffer.from('event: y\ndata: {}\n\n'));
  t.mock.timers.tick(4 * TICK_MS);
  assert.match(call.text, /y\ndata: \{\}\n\n$/);
});

test('after about half an hour it ends cleanly, with a hint when to come again', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { call } = opened(t);
  for (let tick = 0; tick < 107; tick++) t.mock.timers.tick(TICK_MS);
  assert.equal(call.end, undefined);
  for (let tick = 107; tick < 132; tick++) t.mock.timers.tick(TICK_MS);
  assert.equal(call.end, 'finished');
  assert.match(call.text, /\nretry: [1-5]\d{3}\n\n$/);
});

test('it tells once that it is over, and writes nothing then', (t) => {
  const { call, stream } = opened(t);
  let told = 0;
  stream.onOver = () => told++;
  stream.fail(new MessageProblem('no-stream', 'gone'));
  stream.retire();
  call.onAbort?.();
  stream.write(Buffer.from('more'));
  assert.equal(told, 1);
  assert.deepEqual(
    call.events.map(({ name, data }) => [name, data['code']]),
    [['error', 'no-stream']],
  );
  assert.equal(call.end, 'finished');
});

test('what fails before it began is a problem', () => {
  const call = new FakeCall({});
  EventStream.reserve(call, allowed)!.fail(new MessageProblem('no-stream', 'none'));
  assert.equal(call.outcome, 'no-stream');
});

test('it ends with the reason when policies no longer allow it, and goes on while they do', (t) => {
  const call = new FakeCall({});
  let verdict = GRANT;
  const stream = EventStream.reserve(call, () => verdict);
  t.after(() => call.onAbort?.());
  stream?.begin([]);
  call.onPolicies?.();
  assert.equal(call.end, undefined);
  verdict = new MessageProblem('not-allowed', 'no more');
  call.onPolicies?.();
  assert.deepEqual(
    call.events.map(({ name, data }) => [name, data['code']]),
    [['error', 'not-allowed']],
  );
  assert.equal(call.end, 'finished');
});

test('one address has a hundred, and places become free', (t) => {
  const address = '10.9.9.9';
  const all = Array.from({ length: 100 }, () => opened(t, { address }));
  const refused = new FakeCall({ address });
  assert.equal(EventStream.reserve(refused, allowed), undefined);
  assert.equal(refused.outcome, 'too-many-streams');
  opened(t, { address: '10.9.9.10' });
  all[0]!.call.onAbort?.();
  opened(t, { address });
});

test('a worker has two thousand', (t) => {
  for (let index = 0; index < 2000; index++) opened(t, { address: `10.8.${index % 25}.1` });
  const refused = new FakeCall({ address: '10.7.0.1' });
  assert.equal(EventStream.reserve(refused, allowed), undefined);
  assert.equal(refused.outcome, 'too-many-streams');
});

/** What it was given, and in how many writes. */
class Reader implements Follower {
  position: number;
  readonly record = callRecord('receive', undefined, 0);
  text = '';
  writes = 0;
  open = true;

  constructor(position: number) {
    this.position = position;
  }

  write(events: Uint8Array): boolean {
    this.writes++;
    this.text += Buffer.from(events).toString();
    return this.open;
  }
}

test('what comes in one turn reaches each follower in one write', async () => {
  const tail = new Tail(0);
  const readers = [new Reader(0), new Reader(0)];
  for (const reader of readers) assert.ok(tail.follow(reader));
  for (const number of [1, 2, 3]) tail.add(number, `${number};`);
  await turn();
  for (const { text, writes, record, position } of readers)
    assert.deepEqual([text, writes, record.messages, position], ['1;2;3;', 1, 3, 3]);
  tail.close();
});

test('a follower joins where it ended: behind, within, at the end, or ahead of what is kept', async () => {
  const tail = new Tail(10);
  for (const number of [12, 15, 16]) tail.add(number, `${number};`);
  await turn();
  const readers = new Map([9, 10, 11, 12, 13, 15, 16, 18].map((position) => [position, new Reader(position)]));
  for (const [position, reader] of readers) assert.equal(tail.follow(reader), position >= 10);
  for (const number of [17, 20]) tail.add(number, `${number};`);
  await turn();
  assert.deepEqual(
    [...readers].map(([position, { text }]) => [position, text]),
    [
      [9, ''],
      [10, '12;15;16;17;20;'],
      [11, '12;15;16;17;20;'],
      [12, '15;16;17;20;'],
      [13, '15;16;17;20;'],
      [15, '16;17;20;'],
      [16, '17;20;'],
      [18, '20;'],
    ],
  );
  tail.close();
});

test('a follower that stalls gets the rest later, as long as it is within a MiB', async () => {
  const tail = new Tail(0);
  const [stalled, other] = [new Reader(0), new Reader(0)];
  for (const reader of [stalled, other]) tail.follow(reader);
  stalled.open = false;
  const add = async (from: number, to: number): Promise<void> => {
    for (let number = from; number <= to; number++) {
      tail.add(number, `${number} ${'x'.repeat(10_000)};`);
      await turn();
    }
  };
  await add(1, 100);
  assert.equal(stalled.writes, 1);
  stalled.open = true;
  assert.ok(tail.follow(stalled));
  assert.equal(stalled.text, other.text);
  stalled.open = false;
  await add(101, 250);
  assert.equal(stalled.position, 101);
  assert.equal(tail.follow(stalled), false);
  assert.ok(tail.floor > 140 && tail.floor < 150, `Expected a MiB to be kept, got all after ${tail.floor}`);
  stalled.position = tail.floor;
  stalled.open = true;
  assert.ok(tail.follow(stalled));
  assert.equal(stalled.position, 250);
  tail.close();
});
