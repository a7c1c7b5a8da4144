import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { NO_RESOURCES } from '../../src/model/resource.ts';
import { eventually, sleep } from '../harness/client.ts';
import { childPids, newChildren, Follower, folder, replaceFile, service } from './discovery/folder.ts';

function version(name: string, number: number): string {
  return service(name, { clusterIp: `10.96.0.${number}` });
}

test('a file that is replaced by a rename is followed, and what did not change is the same object', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'b.yaml': version('b', 1) });
  const follower = await Follower.start(t, [root]);
  const [a] = follower.services;
  replaceFile(join(root, 'b.yaml'), version('b', 2));
  await follower.untilState('a=1 b=2');
  assert.equal(follower.services[0], a);
  assert.equal(follower.handedOver.length, 2);
});

test('nothing is handed over when a file is written with what it had', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'b.yaml': version('b', 1) });
  const follower = await Follower.start(t, [root]);
  replaceFile(join(root, 'a.yaml'), version('a', 1));
  follower.reread();
  await sleep(300);
  replaceFile(join(root, 'b.yaml'), version('b', 2));
  await follower.untilState('a=1 b=2');
  assert.equal(follower.handedOver.length, 2);
  assert.equal(follower.told.length, 0);
});

test('an editor that takes the old file away and writes a new one costs no Service', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  for (let turn = 2; turn < 6; turn++) {
    renameSync(join(root, 'a.yaml'), join(root, 'a.yaml~'));
    await sleep(10);
    writeFileSync(join(root, 'a.yaml'), version('a', turn));
    unlinkSync(join(root, 'a.yaml~'));
    await follower.untilState(`a=${turn}`);
  }
  assert.ok(follower.handedOver.every(({ services }) => services.length === 1));
});

test('half a file is never believed while it is written', async (t) => {
  const root = folder(t, { 'a.yaml': `${version('a', 1)}---\n${version('b', 1)}` });
  const follower = await Follower.start(t, [root]);
  const file = openSync(join(root, 'a.yaml'), 'w');
  for (const part of [version('a', 2), '---\n', version('b', 2)]) {
    writeSync(file, part);
    await sleep(15);
  }
  closeSync(file);
  await follower.untilState('a=2 b=2');
  assert.equal(follower.handedOver.length, 2);
});

test('a writer that pauses between two documents costs no Service', async (t) => {
  const root = folder(t, { 'a.yaml': `${version('a', 1)}---\n${version('b', 1)}` });
  const follower = await Follower.start(t, [root]);
  for (let turn = 2; turn < 5; turn++) {
    const file = openSync(join(root, 'a.yaml'), 'w');
    writeSync(file, version('a', turn));
    await sleep(300);
    writeSync(file, `---\n${version('b', turn)}`);
    closeSync(file);
    await follower.untilState(`a=${turn} b=${turn}`);
  }
  assert.ok(follower.handedOver.every(({ services }) => services.length === 2));
});

test('an object that is taken out of a file in place goes after a second of rest, in a replaced one at once', async (t) => {
  const both = `${version('a', 1)}---\n${version('b', 1)}`;
  const root = folder(t, { 'a.yaml': both });
  const follower = await Follower.start(t, [root]);
  const began = performance.now();
  writeFileSync(join(root, 'a.yaml'), version('a', 2));
  await follower.untilState('a=2');
  const inPlaceMs = performance.now() - began;
  assert.ok(inPlaceMs > 1000, `Expected more than 1000 ms, got ${inPlaceMs}`);
  replaceFile(join(root, 'a.yaml'), both);
  await follower.untilState('a=1 b=1');
  const replaced = performance.now();
  replaceFile(join(root, 'a.yaml'), version('a', 3));
  await follower.untilState('a=3');
  assert.ok(performance.now() - replaced < 1000);
});

test('an object that is taken out of a file that is written to without end goes all the same', async (t) => {
  const root = folder(t, { 'a.yaml': `${version('a', 1)}---\n${version('b', 1)}` });
  const follower = await Follower.start(t, [root]);
  const began = performance.now();
  while (follower.state !== 'a=2' && performance.now() - began < 30_000) {
    writeFileSync(join(root, 'a.yaml'), version('a', 2));
    await sleep(100);
  }
  assert.equal(follower.state, 'a=2');
});

test('a file that is emptied is believed empty only after a second', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'b.yaml': version('b', 1) });
  const follower = await Follower.start(t, [root]);
  truncateSync(join(root, 'a.yaml'));
  await sleep(300);
  assert.equal(follower.state, 'a=1 b=1');
  writeFileSync(join(root, 'a.yaml'), version('a', 2));
  await follower.untilState('a=2 b=1');
  const began = performance.now();
  truncateSync(join(root, 'a.yaml'));
  await follower.untilState('b=1');
  assert.ok(performance.now() - began > 900);
  assert.equal(follower.handedOver.length, 3);
});

test('a file that is appended to without end is read all the same', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  const began = performance.now();
  for (let line = 0; follower.state !== 'a=1 b=1' && performance.now() - began < 10_000; line++) {
    appendFileSync(join(root, 'a.yaml'), line === 0 ? `---\n${version('b', 1)}` : '# more\n');
    await sleep(5);
  }
  assert.equal(follower.state, 'a=1 b=1');
});

test('a ConfigMap whose files are swapped at once is followed', async (t) => {
  const root = folder(t, { '..1/a.yaml': version('a', 1), '..1/b.yaml': version('b', 1) });
  symlinkSync('..1', join(root, '..data'));
  for (const name of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${name}`, join(root, name));
  const follower = await Follower.start(t, [root]);
  assert.equal(follower.state, 'a=1 b=1');
  mkdirSync(join(root, '..2'));
  for (const name of ['a', 'b']) writeFileSync(join(root, '..2', `${name}.yaml`), version(name, 2));
  symlinkSync('..2', join(root, '..data_tmp'));
  renameSync(join(root, '..data_tmp'), join(root, '..data'));
  await follower.untilState('a=2 b=2');
  assert.equal(follower.handedOver.length, 2);
});

test('an object that a swapped ConfigMap has no more goes at once', async (t) => {
  const root = folder(t, {
    '..1/a.yaml': `${version('a', 1)}---\n${version('b', 1)}`,
    '..2/a.yaml': version('a', 2),
  });
  symlinkSync('..1', join(root, '..data'));
  symlinkSync('..data/a.yaml', join(root, 'a.yaml'));
  const follower = await Follower.start(t, [root]);
  const began = performance.now();
  symlinkSync('..2', join(root, '..data_tmp'));
  renameSync(join(root, '..data_tmp'), join(root, '..data'));
  await follower.untilState('a=2');
  assert.ok(performance.now() - began < 1000);
});

test('a directory that is made later is a problem until then, and the node starts with what is there', async (t) => {
  const root = folder(t, { 'one/a.yaml': version('a', 1) });
  const later = join(root, 'later');
  const follower = await Follower.start(t, [join(root, 'one'), later]);
  assert.equal(follower.state, 'a=1');
  assert.match(follower.lines.join(), /later: expected a directory that can be read, got ENOENT$/);
  mkdirSync(later);
  writeFileSync(join(later, 'b.yaml'), version('b', 1));
  await follower.untilState('a=1 b=1');
  assert.deepEqual(follower.lines, []);
});

test('without any directory nothing is known, which is not the same as no Services', async (t) => {
  const absent = join(folder(t, {}), 'absent');
  const follower = new Follower(t, [absent]);
  await follower.until('the problem', () => follower.lines.length === 1);
  assert.deepEqual(follower.handedOver, []);
  mkdirSync(absent);
  await follower.until('a first reading', () => follower.handedOver.length > 0);
  assert.deepEqual(follower.handedOver, [NO_RESOURCES]);
});

test('sub-directories that are made, moved and removed are followed', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  mkdirSync(join(root, 'one/two'), { recursive: true });
  writeFileSync(join(root, 'one/two/b.yaml'), version('b', 1));
  await follower.untilState('a=1 b=1');
  replaceFile(join(root, 'one/two/b.yaml'), version('b', 2));
  await follower.untilState('a=1 b=2');
  renameSync(join(root, 'one'), join(root, 'uno'));
  await follower.until('the new place', () => follower.services.at(-1)?.origin?.file.includes('uno') ?? false);
  replaceFile(join(root, 'uno/two/b.yaml'), version('b', 3));
  await follower.untilState('a=1 b=3');
  rmSync(join(root, 'uno'), { recursive: true });
  await follower.untilState('a=1');
  assert.ok(follower.handedOver.slice(2, -1).every(({ services }) => services.length === 2));
});

test('a file that is moved to another name never takes its objects away, nor tells of two', async (t) => {
  const root = folder(t, { 'b.yaml': version('b', 1), 'c.yaml': version('c', 1) });
  const follower = await Follower.start(t, [root]);
  for (const [from, to] of [
    ['b.yaml', 'z.yaml'],
    ['z.yaml', 'a.yaml'],
  ] as const) {
    renameSync(join(root, from), join(root, to));
    await follower.until(to, () => follower.services.some(({ origin }) => origin?.file.endsWith(to)));
  }
  assert.ok(follower.handedOver.every(({ services }) => services.length === 2));
});

test('a file that is deleted takes its objects and problems with it', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'b.yaml': `${version('b', 1)}---\nkind: [` });
  const follower = await Follower.start(t, [root]);
  assert.equal(follower.lines.length, 1);
  unlinkSync(join(root, 'b.yaml'));
  await follower.untilState('a=1');
  assert.deepEqual(follower.lines, []);
});

test('the objects of a directory that vanishes as a whole stay, with a problem, until it is back', async (t) => {
  const root = folder(t, { 'm/a.yaml': version('a', 1), 'm/sub/b.yaml': version('b', 1) });
  const manifests = join(root, 'm');
  const follower = await Follower.start(t, [manifests]);
  rmSync(manifests, { recursive: true });
  await follower.until('a problem', () => follower.lines.length > 0);
  assert.match(follower.lines.join(), /expected a directory that can be read, got ENOENT$/);
  assert.equal(follower.handedOver.length, 1);
  mkdirSync(manifests);
  writeFileSync(join(manifests, 'a.yaml'), version('a', 2));
  await follower.untilState('a=2');
  assert.deepEqual(follower.lines, []);
});

test('a directory that is replaced by another one is watched anew', async (t) => {
  const root = folder(t, { 'm/a.yaml': version('a', 1), 'n/a.yaml': version('a', 2) });
  const follower = await Follower.start(t, [join(root, 'm')]);
  renameSync(join(root, 'm'), join(root, 'old'));
  renameSync(join(root, 'n'), join(root, 'm'));
  await follower.untilState('a=2');
  for (let turn = 3; turn < 6; turn++) {
    replaceFile(join(root, 'm/a.yaml'), version('a', turn));
    await follower.untilState(`a=${turn}`);
  }
});

test('a directory that is removed and made again at once is watched anew', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'sub/b.yaml': version('b', 1) });
  const sub = join(root, 'sub');
  const follower = await Follower.start(t, [root]);
  // Most file systems give it the inode that the removed one had.
  rmSync(sub, { recursive: true });
  mkdirSync(sub);
  writeFileSync(join(sub, 'b.yaml'), version('b', 2));
  await follower.untilState('a=1 b=2');
  // Looks that come by themselves are 2 s apart or more: one may find an edit early, not five.
  const began = performance.now();
  for (let turn = 3; turn < 8; turn++) {
    replaceFile(join(sub, 'b.yaml'), version('b', turn));
    await follower.untilState(`a=1 b=${turn}`);
  }
  const tookMs = performance.now() - began;
  assert.ok(tookMs < 6000, `Expected less than 6000 ms, got ${tookMs}`);
});

test('a broken file keeps its objects, the problem names its line, and it goes when the file is mended', async (t) => {
  const root = folder(t, { 'a.yaml': `${version('a', 1)}---\n${version('b', 1)}` });
  const follower = await Follower.start(t, [root]);
  replaceFile(join(root, 'a.yaml'), `${version('a', 2)}---\n${version('b', 2)}  broken: [\n`);
  await follower.untilState('a=2 b=1');
  assert.match(follower.lines.join(), /^\/a\.yaml:2\d: /);
  replaceFile(join(root, 'a.yaml'), version('a', 3));
  await follower.untilState('a=3');
  assert.deepEqual(follower.lines, []);
});

test('a policy that breaks stays as it was, and one that was broken from the start denies at least', async (t) => {
  const policy = (spec: string): string =>
    `apiVersion: heddle.dev/v1alpha1\nkind: NatsPolicy\nmetadata: { name: p }\nspec: ${spec}\n`;
  const rules = 'from: [{}], publish: { allow: [a.>], deny: [a.b] }';
  const root = folder(t, { 'a.yaml': policy(`{ ${rules}, rates: 5/s }`), 'b.yaml': version('b', 1) });
  const follower = await Follower.start(t, [root]);
  const publish = (): unknown => follower.handedOver.at(-1)?.natsPolicies[0]?.publish;
  assert.deepEqual(publish(), { allow: [], deny: ['a.b'] });
  const whole = { allow: ['a.>'], deny: ['a.b'] };
  replaceFile(join(root, 'a.yaml'), policy(`{ ${rules} }`));
  await eventually(() => isDeepStrictEqual(publish(), whole), { what: 'the policy as a whole' });
  replaceFile(join(root, 'a.yaml'), policy(`{ ${rules}, rates: 5/s }`));
  await eventually(() => follower.lines.length > 0, { what: 'a problem' });
  replaceFile(join(root, 'b.yaml'), version('b', 2));
  await follower.untilState('b=2');
  assert.deepEqual(publish(), whole);
});

test('a file that becomes no text, too large, a pipe or a broken link keeps its objects', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1), 'b.yaml': version('b', 0) });
  const follower = await Follower.start(t, [root]);
  const file = join(root, 'a.yaml');
  const spoil: readonly (() => void)[] = [
    () => writeFileSync(file, Uint8Array.of(0x61, 0xff, 0xfe)),
    () => writeFileSync(file, `${version('a', 2)}#${'x'.repeat(8 * 1024 * 1024)}`),
    () => execFileSync('mkfifo', [file]),
    () => symlinkSync('nowhere', file),
    () => symlinkSync('a.yaml', file),
    () => symlinkSync('/dev/zero', file),
  ];
  for (const [turn, make] of spoil.entries()) {
    unlinkSync(file);
    make();
    await follower.until('a problem', () => follower.lines.length === 1);
    assert.match(follower.lines.join(), /^\/a\.yaml: expected /);
    replaceFile(join(root, 'b.yaml'), version('b', turn + 1));
    await follower.untilState(`a=1 b=${turn + 1}`);
    unlinkSync(file);
    linkSync(join(folder(t, { x: version('a', 1) }), 'x'), file);
    await follower.until('no problem', () => follower.lines.length === 0);
  }
});

test('a file and a directory that may not be read keep their objects', async (t) => {
  if (mayReadEverything(t)) {
    againWithoutPrivileges(t.name);
    return;
  }
  const root = folder(t, { 'a.yaml': version('a', 1), 'sub/b.yaml': version('b', 1) });
  const follower = await Follower.start(t, [root]);
  chmodSync(join(root, 'a.yaml'), 0);
  chmodSync(join(root, 'sub'), 0);
  await follower.until('two problems', () => follower.lines.length === 2);
  assert.equal(follower.state, 'a=1 b=1');
  chmodSync(join(root, 'sub'), 0o755);
  chmodSync(join(root, 'a.yaml'), 0o644);
  await follower.until('no problem', () => follower.lines.length === 0);
});

/** As root may, unless that was taken from it. */
function mayReadEverything(t: TestContext): boolean {
  const file = join(folder(t, { x: '' }), 'x');
  chmodSync(file, 0);
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

/** Runs this one test in a process that may not override permissions (capabilities(7)). */
function againWithoutPrivileges(name: string): void {
  assert.equal(process.env['WITHOUT_PRIVILEGES'], undefined, 'Expected a process without privileges');
  const taken = '-dac_override,-dac_read_search';
  const { status, stdout, stderr } = spawnSync(
    'setpriv',
    [
      `--bounding-set=${taken}`,
      `--inh-caps=${taken}`,
      process.execPath,
      `--test-name-pattern=${name}`,
      import.meta.filename,
    ],
    { encoding: 'utf8', env: { ...process.env, NODE_TEST_CONTEXT: undefined, WITHOUT_PRIVILEGES: '1' } },
  );
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^(?:# |\S+ )pass 1$/m);
}

test('ten thousand files that come and go in a burst leave what was there', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  for (let file = 0; file < 10_000; file++) writeFileSync(join(root, `x${file}.yaml`), '');
  for (let file = 0; file < 10_000; file++) unlinkSync(join(root, `x${file}.yaml`));
  replaceFile(join(root, 'a.yaml'), version('a', 2));
  await follower.untilState('a=2');
  assert.deepEqual(follower.lines, []);
});

test('a file that is replaced while it is read comes out as one of its versions', async (t) => {
  const padding = '# nothing\n'.repeat(20_000);
  const root = folder(t, { 'a.yaml': version('a', 0) });
  const follower = await Follower.start(t, [root]);
  for (let turn = 1; turn < 40; turn++) {
    replaceFile(join(root, 'a.yaml'), version('a', turn) + padding + `---\n${version('b', turn)}`);
    await sleep(turn % 7);
  }
  await follower.untilState('a=39 b=39');
  for (const { services } of follower.handedOver.slice(1)) {
    assert.equal(services.length, 2);
    assert.deepEqual(services[0]?.clusterIps, services[1]?.clusterIps);
  }
});

test('a Namespace comes, changes and goes like any object', async (t) => {
  const namespace = (enabled: boolean): string =>
    `apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, annotations: { heddle.dev/enabled: "${enabled}" } }\n`;
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  const wishes = (): unknown =>
    follower.handedOver.at(-1)?.namespaces.map(({ annotations }) => annotations['heddle.dev/enabled']);
  assert.deepEqual(wishes(), []);
  for (const enabled of [true, false]) {
    replaceFile(join(root, 'shop.yaml'), namespace(enabled));
    await follower.until(`enabled ${enabled}`, () => isDeepStrictEqual(wishes(), [String(enabled)]));
  }
  rmSync(join(root, 'shop.yaml'));
  await follower.until('no Namespace', () => isDeepStrictEqual(wishes(), []));
  assert.equal(follower.state, 'a=1');
});

test('all is fresh while every file can be read', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  const fresh = { from: 'files', sources: [root], fresh: true, snapshotTime: null, kinds: [] };
  assert.deepEqual(follower.status, fresh);
  replaceFile(join(root, 'a.yaml'), '[');
  await follower.until('a problem', () => follower.lines.length === 1);
  assert.deepEqual(follower.status, { ...fresh, fresh: false });
  replaceFile(join(root, 'a.yaml'), version('a', 2));
  await follower.untilState('a=2');
  assert.deepEqual(follower.status, fresh);
});

test('nothing is fresh without a directory', async (t) => {
  const root = folder(t, {});
  const follower = new Follower(t, [join(root, 'none')]);
  assert.equal(follower.status.fresh, false);
  await follower.until('a problem', () => follower.lines.length === 1);
  assert.equal(follower.status.fresh, false);
});

test('everything is read anew when asked for', async (t) => {
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  const services = follower.services;
  follower.reread();
  await sleep(300);
  assert.equal(follower.services, services);
  writeFileSync(join(root, 'a.yaml'), version('a', 2));
  follower.reread();
  await follower.untilState('a=2');
});

test('after a stop nothing is called, and no process is left', async (t) => {
  const before = childPids();
  const root = folder(t, { 'a.yaml': version('a', 1) });
  const follower = await Follower.start(t, [root]);
  assert.equal(newChildren(before).length, 1);
  replaceFile(join(root, 'a.yaml'), version('a', 2));
  const began = performance.now();
  follower.stop();
  await eventually(() => newChildren(before).length === 0);
  t.diagnostic(`${(performance.now() - began).toFixed(0)} ms`);
  await sleep(300);
  assert.equal(follower.handedOver.length, 1);
});
