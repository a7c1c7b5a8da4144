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

async function namesIn(reader: ReaderProcess, path: string): Promise<string | undefined> {
  return (await reader.read(path))?.objects.map(({ object }) => object.name).join();
}

test('one process reads again and again, and ends when it has nothing to do', async (t) => {
  const before = childPids();
  const root = folder(t, { 'a.yaml': service('a') });
  const reader = new ReaderProcess({ ...READER_LIMITS, lingerMs: 500 });
  await reader.read(join(root, 'a.yaml'));
  const [pid] = newChildren(before);
  for (let turn = 0; turn < 100; turn++) await reader.read(join(root, 'a.yaml'));
  assert.deepEqual(newChildren(before), [pid]);
  await eventually(() => newChildren(before).length === 0);
  assert.equal(await namesIn(reader, join(root, 'a.yaml')), 'a');
  reader.stop();
});

test('a file that ends the reader harms only itself', async (t) => {
  const root = folder(t, { 'a.yaml': service('a'), 'greedy.yaml': GREEDY, 'z.yaml': service('z') });
  const reader = new ReaderProcess(LITTLE_MEMORY);
  const names: (string | undefined)[] = [];
  for (const file of ['a.yaml', 'greedy.yaml', 'z.yaml']) names.push(await namesIn(reader, join(root, file)));
  assert.deepEqual(names, ['a', undefined, 'z']);
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
  const reading = reader.read(join(root, 'a.yaml'));
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

test('each want of a process is waited for as the first one, when files were read since', async (t) => {
  const { execPath } = process;
  t.after(() => {
    process.execPath = execPath;
  });
  const before = childPids();
  const root = folder(t, { 'a.yaml': service('a') });
  const follower = await Follower.start(t, [root], { ...READER_LIMITS, lingerMs: 50 });
  let tookMs = 0;
  for (let turn = 2; turn < 6; turn++) {
    await eventually(() => newChildren(before).length === 0);
    process.execPath = '';
    replaceFile(join(root, 'a.yaml'), service('a', { clusterIp: `10.96.0.${turn}` }));
    await follower.until('a problem', () => follower.lines.length === 1);
    process.execPath = execPath;
    const began = performance.now();
    await follower.untilState(`a=${turn}`);
    tookMs = performance.now() - began;
  }
  // 1 s, and not the 8 s of the fourth failure.
  assert.ok(tookMs < 6000, `Expected less than 6000 ms, got ${tookMs}`);
});

test('a small file waits for one large one at most', async (t) => {
  const slow = `---\na: [${'{},'.repeat(200_000)}]\n`;
  const root = folder(t, { 'a.yaml': service('a') });
  const follower = await Follower.start(t, [root]);
  for (let file = 0; file < 4; file++) replaceFile(join(root, `large${file}.yaml`), service(`large${file}`) + slow);
  replaceFile(join(root, 'a.yaml'), service('a', { clusterIp: '10.96.0.2' }));
  await follower.until('the small one', () => follower.state.startsWith('a=2'));
  const larges = follower.services.length - 1;
  assert.ok(larges <= 2, `Expected at most 2 large files that were read before, got ${larges}`);
  await follower.until('the large ones', () => follower.services.length === 5);
});
