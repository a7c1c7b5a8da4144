import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  READER_LIMITS,
  ReaderProcess,
  ReaderUnavailable,
} from '../../../../src/control/discovery/files/reader-process.ts';
import { eventually, sleep } from '../../../harness/client.ts';
import { childPids, newChildren, Follower, folder, replaceFile, service } from '../folder.ts';

/** Far too little for this many anchors and aliases, and enough for everything else. */
const LITTLE_MEMORY = { ...READER_LIMITS, heapMb: 24 };
const GREEDY = `a: [${'{},'.repeat(500_000)}]\n`;

function names(files: Awaited<ReturnType<ReaderProcess['read']>>): readonly (string | undefined)[] {
  return [...files.values()].map((reading) => reading?.services.map(({ name }) => name).join());
}

test('one process reads again and again, and ends when it has nothing to do', async (t) => {
  const before = childPids();
  const root = folder(t, { 'a.yaml': service('a') });
  const reader = new ReaderProcess({ ...READER_LIMITS, lingerMs: 500 });
  await reader.read([join(root, 'a.yaml')]);
  const [pid] = newChildren(before);
  for (let turn = 0; turn < 100; turn++) await reader.read([join(root, 'a.yaml')]);
  assert.deepEqual(newChildren(before), [pid]);
  await eventually(() => newChildren(before).length === 0);
  assert.deepEqual(names(await reader.read([join(root, 'a.yaml')])), ['a']);
  reader.stop();
});

test('a file that ends the reader harms only itself', async (t) => {
  const root = folder(t, { 'a.yaml': service('a'), 'greedy.yaml': GREEDY, 'z.yaml': service('z') });
  const reader = new ReaderProcess(LITTLE_MEMORY);
  const files = ['a.yaml', 'greedy.yaml', 'z.yaml'].map((name) => join(root, name));
  assert.deepEqual(names(await reader.read(files)), ['a', undefined, 'z']);
  reader.stop();
});

test('a file that ends the reader keeps its objects, and the others are followed', async (t) => {
  const root = folder(t, { 'a.yaml': service('a'), 'b.yaml': service('b') });
  const follower = await Follower.start(t, [root], LITTLE_MEMORY);
  replaceFile(join(root, 'a.yaml'), GREEDY);
  await follower.until('a problem', () => follower.lines.length === 1);
  assert.equal(
    follower.lines[0],
    '/a.yaml: expected a file that can be read with 24 MB of memory in 30 s, got a reader that ended twice',
  );
  assert.equal(follower.state, 'a=1 b=1');
  replaceFile(join(root, 'b.yaml'), service('b', { clusterIp: '10.96.0.2' }));
  await follower.untilState('a=1 b=2');
  replaceFile(join(root, 'a.yaml'), service('a', { clusterIp: '10.96.0.2' }));
  await follower.untilState('a=2 b=2');
  assert.deepEqual(follower.lines, []);
});

test('a reader that is killed in the middle is replaced, and no file is blamed', async (t) => {
  const before = childPids();
  const slow = `${service('slow')}---\na: [${'{},'.repeat(300_000)}]\n`;
  const root = folder(t, { 'a.yaml': service('a'), 'slow.yaml': service('slow') });
  const follower = await Follower.start(t, [root]);
  replaceFile(join(root, 'slow.yaml'), slow.replace('10.96.0.1', '10.96.0.2'));
  await sleep(100);
  for (const pid of newChildren(before)) process.kill(pid, 'SIGKILL');
  await follower.untilState('a=1 slow=2');
  assert.ok(follower.told.flat().every(({ got }) => !got.includes('reader')));
});

test('a reader that is killed while it waits is started again when it is needed', async (t) => {
  const before = childPids();
  const root = folder(t, { 'a.yaml': service('a') });
  const follower = await Follower.start(t, [root]);
  for (const pid of newChildren(before)) process.kill(pid, 'SIGKILL');
  await eventually(() => newChildren(before).length === 0);
  replaceFile(join(root, 'a.yaml'), service('a', { clusterIp: '10.96.0.2' }));
  await follower.untilState('a=2');
});

test('a reader that takes too long is ended', async (t) => {
  const before = childPids();
  const root = folder(t, { 'a.yaml': GREEDY });
  const reader = new ReaderProcess({ ...READER_LIMITS, answerMs: 3000 });
  const reading = reader.read([join(root, 'a.yaml')]);
  await eventually(() => newChildren(before).length === 1);
  // A process that is stopped answers as little as one that hangs.
  process.kill(newChildren(before)[0]!, 'SIGSTOP');
  const [, failed] = await Promise.allSettled([sleep(0), reading]);
  reader.stop();
  assert.ok(failed.status === 'fulfilled' || failed.reason instanceof ReaderUnavailable);
  await eventually(() => newChildren(before).length === 0);
});

// An empty path makes fork() throw, as it does when the system is out of memory; an absent one is told later.
for (const [how, name] of [
  ['at once', ''],
  ['late', 'nothing'],
] as const) {
  test(`where no process can be had, which is known ${how}, it is a problem, and it is tried again`, async (t) => {
    const { execPath } = process;
    t.after(() => {
      process.execPath = execPath;
    });
    const root = folder(t, { 'a.yaml': service('a') });
    process.execPath = name && join(root, name);
    const follower = new Follower(t, [root]);
    await follower.until('a problem', () => follower.lines.length === 1);
    assert.match(follower.lines[0]!, /^: expected a process that reads manifests, got /);
    assert.equal(follower.handedOver.length, 0);
    process.execPath = execPath;
    await follower.untilState('a=1');
    assert.deepEqual(follower.lines, []);
  });
}
