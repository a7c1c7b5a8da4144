/** The last good state on disk: written whole or not at all, and used only where it is ours, whole and young. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, type Mock, test, type TestContext } from 'node:test';
import { SnapshotFile } from '../../../src/control/discovery/snapshot-file.ts';
import { NO_RESOURCES, type Resources } from '../../../src/model/resource.ts';
import { eventually } from '../../harness/client.ts';
import { RESOURCES } from './every-field.ts';

const SOURCE = 'https://10.96.0.1:443';
const NOW_MS = Date.parse('2026-11-21T12:00:00Z');
const HOUR_MS = 3_600_000;
/** A user who owns nothing. */
const NOBODY = 65_534;

/** Slices of ten endpoints. */
const MANY: Resources = {
  ...RESOURCES,
  endpointSlices: Array.from({ length: 5000 }, (_, index) => ({
    ...RESOURCES.endpointSlices[0]!,
    name: `orders-${index}`,
    endpoints: Array.from({ length: 10 }, (__, host) => ({
      ...RESOURCES.endpointSlices[0]!.endpoints[0]!,
      address: `10.${index % 250}.${Math.floor(index / 250)}.${host}`,
    })),
  })),
};

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-snapshot-'));
  context.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

function open(file: string, options: { readonly source?: string; readonly nowMs?: number } = {}): SnapshotFile {
  const { source = SOURCE, nowMs = NOW_MS } = options;
  return new SnapshotFile({ file, maxAgeMs: HOUR_MS, source, nowMs: () => nowMs });
}

/** A file as Heddle writes it. */
async function written(context: TestContext, resources: Resources = RESOURCES): Promise<string> {
  const file = path.join(folderOf(context), 'snapshot');
  await save(context, open(file), resources, () => existsSync(file));
  return file;
}

/** Saves without waiting for more to come; a close would give up on a machine that is too busy. */
async function save(
  context: TestContext,
  snapshot: SnapshotFile,
  resources: Resources,
  done: () => boolean,
): Promise<void> {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  snapshot.save(resources, NOW_MS);
  context.mock.timers.tick(5000);
  context.mock.timers.reset();
  await eventually(done, { what: 'the end of saving' });
}

/** Its lines with another first one, and the checksum that goes with them. */
function withHeader(file: string, change: Readonly<Record<string, unknown>>): void {
  const [header = '', ...rest] = readFileSync(file, 'utf8').trimEnd().split('\n');
  const changed = JSON.stringify({ ...(JSON.parse(header) as object), ...change });
  const body = [changed, ...rest.slice(0, -1)].map((line) => `${line}\n`).join('');
  const sha256 = createHash('sha256').update(body).digest('hex');
  writeFileSync(file, `${body}${JSON.stringify({ sha256 })}\n`);
}

async function refusal(file: string, options: Parameters<typeof open>[1] = {}): Promise<string> {
  const loaded = await open(file, options).load();
  assert.ok('refused' in loaded, 'Expected a refusal, got a state');
  return loaded.refused;
}

describe('a snapshot file', () => {
  test('gives back what was saved, to the field', async (context) => {
    const file = await written(context);
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
  });

  test('gives back that there is nothing', async (context) => {
    const file = await written(context, NO_RESOURCES);
    assert.deepEqual(await open(file).load(), { state: { resources: NO_RESOURCES, syncedMs: NOW_MS } });
  });

  test('has a line for each object, between a header and a checksum', async (context) => {
    const lines = readFileSync(await written(context), 'utf8')
      .trimEnd()
      .split('\n');
    const counts = {
      services: 1,
      endpointSlices: 1,
      namespaces: 1,
      pods: 1,
      node: 1,
      subscriptions: 1,
      natsPolicies: 1,
      httpRoutes: 1,
      grpcRoutes: 1,
      referenceGrants: 1,
      trafficSplits: 1,
      httpRouteGroups: 1,
    };
    const header = { format: 'heddle-snapshot', version: 4, source: SOURCE, syncedMs: NOW_MS, counts };
    assert.deepEqual(JSON.parse(lines[0]!), header);
    assert.deepEqual(
      lines.slice(1, -1).map((line) => (JSON.parse(line) as { list: string }).list),
      Object.keys(counts),
    );
    assert.match(lines.at(-1)!, /^\{"sha256":"[0-9a-f]{64}"\}$/);
  });

  test('is for its owner only, and nothing is left beside it', async (context) => {
    const file = await written(context);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(path.dirname(file)), ['snapshot']);
  });
});

describe('load refuses', () => {
  test('a file that is absent', async (context) => {
    assert.equal(await refusal(path.join(folderOf(context), 'none')), 'Expected a snapshot file, got none');
  });

  test('what is no ordinary file', async (context) => {
    assert.match(await refusal(folderOf(context)), /^Expected an ordinary file, got something else$/);
  });

  test('a file of another kind', async (context) => {
    const file = await written(context);
    writeFileSync(file, '{"kind":"List"}\n{}\n');
    assert.equal(await refusal(file), 'Expected a snapshot file, got another one');
    writeFileSync(file, 'apiVersion: v1\nkind: List\n');
    assert.match(await refusal(file), /^Expected lines of JSON, got "apiVersion: v1/);
  });

  test('another version', async (context) => {
    const file = await written(context);
    withHeader(file, { version: 3 });
    assert.equal(await refusal(file), 'Expected format version 4, got 3');
  });

  test('the state of another cluster', async (context) => {
    const file = await written(context);
    assert.equal(
      await refusal(file, { source: 'https://other' }),
      `Expected the state of https://other, got that of "${SOURCE}"`,
    );
  });

  test('a state that is too old', async (context) => {
    const file = await written(context);
    assert.ok('state' in (await open(file, { nowMs: NOW_MS + HOUR_MS }).load()));
    const expected = 'Expected a state that was confirmed within 1h, got one of 1h1s ago';
    assert.equal(await refusal(file, { nowMs: NOW_MS + HOUR_MS + 1000 }), expected);
  });

  test('a state from the future, by more than clocks differ', async (context) => {
    const file = await written(context);
    assert.ok('state' in (await open(file, { nowMs: NOW_MS - 5 * 60_000 }).load()));
    const expected = 'Expected a state of the past, got one of 5m1s from now';
    assert.equal(await refusal(file, { nowMs: NOW_MS - 5 * 60_000 - 1000 }), expected);
  });

  test('a file that is cut off, wherever', async (context) => {
    const file = await written(context);
    const { size } = statSync(file);
    for (let length = size - 1; length >= 0; length -= 7) {
      truncateSync(file, length);
      assert.equal(await refusal(file), 'Expected a whole file, got one that is cut off', String(length));
    }
  });

  test('a file of which an octet is another one', async (context) => {
    const file = await written(context);
    const bytes = readFileSync(file);
    const at = bytes.indexOf('10.1.0.7');
    bytes[at] = '2'.charCodeAt(0);
    writeFileSync(file, bytes);
    assert.equal(await refusal(file), 'Expected the checksum that its last line has, got another one');
  });

  test('a file with fewer objects than it says', async (context) => {
    const file = await written(context);
    withHeader(file, { counts: { Service: 2 } });
    assert.equal(await refusal(file), 'Expected as many objects as its first line says, got others');
  });

  test('a file that is too large, without reading it', async (context) => {
    const file = await written(context);
    truncateSync(file, 100 * 1024 ** 2 + 1);
    assert.match(await refusal(file), /^Expected at most 100MiB, got /);
  });

  test('a line without end', async (context) => {
    const file = await written(context);
    truncateSync(file, 20 * 1024 ** 2);
    assert.equal(await refusal(file), 'Expected lines of at most 16MiB, got a longer one');
  });
});

describe('saving', () => {
  test('waits for more, but not for ever, and writes the newest', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const file = path.join(folderOf(context), 'snapshot');
    const snapshot = open(file);
    snapshot.save(RESOURCES, NOW_MS - 2);
    context.mock.timers.tick(4000);
    snapshot.save(NO_RESOURCES, NOW_MS - 1);
    context.mock.timers.tick(999);
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    assert.equal(existsSync(file), false);
    context.mock.timers.tick(1);
    context.mock.timers.reset();
    await eventually(() => existsSync(file), { what: 'the file' });
    assert.deepEqual(await open(file).load(), { state: { resources: NO_RESOURCES, syncedMs: NOW_MS - 1 } });
    await snapshot.close();
  });

  test('what is saved while the file is written comes after it', async (context) => {
    const file = path.join(folderOf(context), 'snapshot');
    const snapshot = open(file);
    await save(context, snapshot, MANY, () => existsSync(`${file}.new`) || existsSync(file));
    context.mock.timers.enable({ apis: ['setTimeout'] });
    snapshot.save(RESOURCES, NOW_MS);
    const closing = snapshot.close();
    context.mock.timers.reset();
    await closing;
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
  });

  test('of 50,000 endpoints leaves the main thread to others in between, and so does loading', async (context) => {
    const file = path.join(folderOf(context), 'snapshot');
    const saving = await busiestTurnMs(save(context, open(file), MANY, () => existsSync(file)));
    const loading = open(file).load();
    const busiest = Math.max(saving, await busiestTurnMs(loading));
    // In one piece each takes 80 ms and more.
    assert.ok(busiest < 30, `Expected less than 30 ms, got ${busiest}`);
    assert.deepEqual(await loading, { state: { resources: MANY, syncedMs: NOW_MS } });
  });

  test('is done at the end of the process', async (context) => {
    const file = path.join(folderOf(context), 'snapshot');
    const snapshot = open(file);
    snapshot.save(RESOURCES, NOW_MS);
    await snapshot.close();
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
  });

  test('after close does nothing', async (context) => {
    const file = await written(context);
    const snapshot = open(file);
    await snapshot.close();
    snapshot.save(NO_RESOURCES, NOW_MS);
    await snapshot.close();
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
  });

  test('replaces what a crash has left half-written', async (context) => {
    const file = path.join(folderOf(context), 'snapshot');
    writeFileSync(`${file}.new`, 'half');
    await save(context, open(file), RESOURCES, () => existsSync(file));
    assert.ok('state' in (await open(file).load()));
    assert.equal(existsSync(`${file}.new`), false);
  });

  test('into a folder that is not there only shows in the error', async (context) => {
    const snapshot = open(path.join(folderOf(context), 'none', 'snapshot'));
    await save(context, snapshot, RESOURCES, () => snapshot.error !== undefined);
    assert.match(snapshot.error!, /^ENOENT/);
  });

  test('into a folder that may not be written only shows in the error', async (context) => {
    const folder = folderOf(context);
    const snapshot = open(path.join(folder, 'snapshot'));
    await withoutPrivileges(folder, async () => save(context, snapshot, RESOURCES, () => snapshot.error !== undefined));
    assert.match(snapshot.error!, /^EACCES/);
  });

  test('that fails leaves the file as it was', async (context) => {
    const file = await written(context);
    mkdirSync(`${file}.new`);
    const snapshot = open(file);
    await save(context, snapshot, NO_RESOURCES, () => snapshot.error !== undefined);
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
  });

  test('onto a disk that fills up only shows in the error, until there is room again', async (context) => {
    const file = await written(context);
    const snapshot = open(file);
    const full = await fillDisk(context);
    await save(context, snapshot, MANY, () => snapshot.error !== undefined);
    assert.match(snapshot.error!, /^ENOSPC: no space left on device, write$/);
    assert.deepEqual(readdirSync(path.dirname(file)), ['snapshot']);
    assert.deepEqual(await open(file).load(), { state: { resources: RESOURCES, syncedMs: NOW_MS } });
    full.mock.restore();
    await save(context, snapshot, NO_RESOURCES, () => snapshot.error === undefined);
  });

  test('a disk that hangs is not waited for at the end', async (context) => {
    const file = await written(context);
    const hanging = await mockWrites(context, () => new Promise(() => {}));
    const snapshot = open(file);
    snapshot.save(NO_RESOURCES, NOW_MS);
    const startMs = performance.now();
    await snapshot.close();
    assert.ok(performance.now() - startMs >= 400);
    assert.equal(hanging.mock.callCount(), 1);
    assert.ok('state' in (await open(file).load()));
  });
});

/** Processor time of this thread in the longest turn of its event loop until the work is done. */
async function busiestTurnMs(work: Promise<unknown>): Promise<number> {
  const done = work.then(() => true);
  let busiestMs = 0;
  for (let before = threadMs(), over = false; !over;) {
    over = await Promise.race([done, nextTurn(false)]);
    const now = threadMs();
    busiestMs = Math.max(busiestMs, now - before);
    before = now;
  }
  return busiestMs;
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** As somebody who may not write to the folder, root included. */
async function withoutPrivileges(folder: string, run: () => Promise<void>): Promise<void> {
  const root = process.geteuid?.() === 0;
  chmodSync(folder, 0o500);
  if (root) process.seteuid!(NOBODY);
  try {
    await run();
  } finally {
    if (root) process.seteuid!(0);
    chmodSync(folder, 0o700);
  }
}

type Writes = Mock<FileHandle['writeFile']>;

/** The first write finds room, and no other. */
async function fillDisk(context: TestContext): Promise<Writes> {
  let writes = 0;
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  return await mockWrites(context, () => (writes++ === 0 ? Promise.resolve() : Promise.reject(full)));
}

async function mockWrites(context: TestContext, write: () => Promise<void>): Promise<Writes> {
  const handle = await openFile(import.meta.filename);
  await handle.close();
  return context.mock.method(Object.getPrototypeOf(handle) as FileHandle, 'writeFile', write);
}
