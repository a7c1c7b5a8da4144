import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { BridgeSecretFiles } from '../../src/control/bridge-secrets.ts';
import type { BridgeSecrets } from '../../src/model/message.ts';
import { type Problem, problemText } from '../../src/model/problem.ts';
import type { NatsSettings } from '../../src/model/settings.ts';
import { eventually, sleep } from '../harness/client.ts';
import { settingsOf } from '../harness/settings.ts';

const LOOK_MS = 20;

interface Scene {
  readonly folder: string;
  readonly path: (name: string) => string;
  readonly told: BridgeSecrets[];
  readonly problems: (readonly Problem[])[];
  readonly start: (settings: Partial<NatsSettings>) => Promise<void>;
}

function scene(context: TestContext): Scene {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-secrets-'));
  const told: BridgeSecrets[] = [];
  const problems: (readonly Problem[])[] = [];
  const events = {
    onSecrets: (secrets: BridgeSecrets) => void told.push(secrets),
    onProblems: (list: readonly Problem[]) => void problems.push(list),
  };
  let files: BridgeSecretFiles | undefined;
  context.after(() => {
    files?.stop();
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    path: (name) => join(folder, name),
    told,
    problems,
    start: async (settings) => {
      files = new BridgeSecretFiles({ ...settingsOf().nats, ...settings }, events, { lookMs: LOOK_MS });
      await files.start();
    },
  };
}

describe('the files of the bridge', () => {
  test('are read at the start, and those that nobody names are none', async (context) => {
    const { path, told, start } = scene(context);
    writeFileSync(path('user'), 'me:secret\n');
    await start({ user: path('user') });
    assert.equal(told.length, 1);
    assert.equal(told[0]?.user, 'me:secret\n');
    assert.equal(told[0]?.creds, undefined);
  });

  test('are told to be none where there are none', async (context) => {
    const { told, start } = scene(context);
    await start({});
    assert.equal(told.length, 1);
    assert.ok(Object.values(told[0]!).every((text) => text === undefined));
  });

  test('that cannot be read at the start are an error that names flag and file', async (context) => {
    const { path, start } = scene(context);
    mkdirSync(path('folder'));
    writeFileSync(path('empty'), '');
    writeFileSync(path('long'), 'secret'.repeat(11_000));
    execFileSync('mkfifo', [path('pipe')]);
    for (const [name, got] of [
      ['missing', 'ENOENT'],
      ['folder', 'something else than a file'],
      ['empty', 'an empty one'],
      ['long', 'a longer one'],
      ['pipe', 'something else than a file'],
    ] as const) {
      await assert.rejects(start({ tlsKey: path(name) }), {
        message: `--nats-tls-key ${path(name)}: Expected a file of 1 to 65536 bytes that can be read, got ${got}`,
      });
    }
  });

  test('are told again when one of them has changed, and only then', async (context) => {
    const { path, told, start } = scene(context);
    writeFileSync(path('creds'), 'one');
    await start({ creds: path('creds') });
    await sleep(5 * LOOK_MS);
    assert.equal(told.length, 1);
    writeFileSync(path('creds'), 'two');
    await eventually(() => told.length === 2, { what: 'the new content to be told' });
    assert.equal(told[1]?.creds, 'two');
  });

  test('may be the mount of a Secret: links that are swapped, so that certificate and key change together', async (context) => {
    const { folder, path, told, start } = scene(context);
    for (const version of ['v1', 'v2']) {
      mkdirSync(path(version));
      for (const name of ['tls.crt', 'tls.key']) writeFileSync(join(folder, version, name), `${version} ${name}`);
    }
    symlinkSync('v1', path('..data'));
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), path(name));
    await start({ tlsCert: path('tls.crt'), tlsKey: path('tls.key') });
    symlinkSync('v2', path('..data_tmp'));
    renameSync(path('..data_tmp'), path('..data'));
    await eventually(() => told.length === 2, { what: 'the new certificate to be told' });
    assert.deepEqual(
      told.map(({ tlsCert, tlsKey }) => [tlsCert, tlsKey]),
      [
        ['v1 tls.crt', 'v1 tls.key'],
        ['v2 tls.crt', 'v2 tls.key'],
      ],
    );
  });

  test('that cannot be read later stay as they were, are a problem without their content, and come back', async (context) => {
    const { path, told, problems, start } = scene(context);
    writeFileSync(path('user'), 'me:secret');
    await start({ user: path('user') });
    truncateSync(path('user'));
    await eventually(() => problems.length === 1, { what: 'the problem to be told' });
    assert.deepEqual(problems[0]?.map(problemText), [
      `--nats-user ${path('user')}: expected a file of 1 to 65536 bytes that can be read, got an empty one: what it held stays`,
    ]);
    assert.equal(told.length, 1);
    writeFileSync(path('user'), 'me:other');
    await eventually(() => told.length === 2, { what: 'the new content to be told' });
    assert.equal(told[1]?.user, 'me:other');
    await eventually(() => problems.length === 2, { what: 'the problem to be solved' });
    assert.deepEqual(problems[1], []);
  });
});
