/** `heddle demo` as a visitor without a terminal has it: a child process, its text, requests to its mesh. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { valueOf } from '../harness/message.ts';

const START_MS = 30_000;
const CHANGE_MS = 20_000;
const END_MS = 15_000;
const NO_CURL = spawnSync('curl', ['--version']).error === undefined ? false : 'there is no curl here';

interface DemoOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

class Demo {
  readonly #child: ChildProcess;
  out = '';
  exit: number | NodeJS.Signals | undefined = undefined;

  private constructor({ args = [], env = {} }: DemoOptions) {
    const bare = { PATH: process.env['PATH'], HEDDLE_DIST: process.env['HEDDLE_DIST'] };
    this.#child = spawn(process.execPath, ['bin/heddle.js', 'demo', ...args], {
      env: { ...bare, HEDDLE_MESH_LISTEN: '127.0.0.1:0', HEDDLE_ADMIN_LISTEN: '127.0.0.1:0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (bytes: Buffer) => (this.out += bytes.toString('utf8')));
    this.#child.on('close', (code, signal) => (this.exit = code ?? signal ?? undefined));
  }

  /** Resolves when the guide was read to its end. Ended with the test, whatever became of it. */
  static async start(context: TestContext, options: DemoOptions = {}): Promise<Demo> {
    const demo = new Demo(options);
    const kill = (): void => void demo.#child.kill('SIGKILL');
    process.on('exit', kill);
    context.after(async () => {
      process.off('exit', kill);
      if (demo.exit === undefined) await demo.end();
      assert.ok(!demo.out.includes('\u001b'), 'Expected no escape sequence without a terminal');
    });
    await demo.says(/^ {2}\/.*\n(?:.+\n)?\n/m, START_MS);
    return demo;
  }

  async says(pattern: RegExp, waitMs = CHANGE_MS): Promise<RegExpExecArray> {
    await eventually(() => pattern.test(this.out) || this.exit !== undefined, { waitMs, what: String(pattern) }).catch(
      (error: unknown) => assert.fail(`${String(error)}, got:\n${this.out}`),
    );
    return pattern.exec(this.out) ?? assert.fail(`Expected ${pattern}, got ${this.exit} and:\n${this.out}`);
  }

  /** The lines that a visitor copies. */
  get curlLines(): readonly string[] {
    return this.out.split('\n').filter((line) => line.startsWith('  curl '));
  }

  get port(): number {
    return Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(this.out)?.[1]);
  }

  get folder(): string {
    return /^ {2}(\/.*)$/m.exec(this.out)?.[1] ?? '';
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  async end(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    this.#child.kill(signal);
    await eventually(() => this.exit !== undefined, { waitMs: END_MS, what: 'the demo to end' }).catch(
      (error: unknown) => {
        this.#child.kill('SIGKILL');
        throw error;
      },
    );
  }
}

/** Clients that ask one Service again and again on kept-alive connections; what they got is kept. */
class Callers {
  readonly versions: string[] = [];
  readonly wrong: string[] = [];
  #asking = true;
  readonly #lanes: Promise<void>[];

  constructor(port: number, service: string) {
    this.#lanes = Array.from({ length: 4 }, () => this.#ask(port, service));
  }

  /** The last so many answers came from this version. */
  onlyFrom(version: string, count = 40): boolean {
    const last = this.versions.slice(-count);
    return last.length === count && last.every((one) => one === version);
  }

  async stop(): Promise<void> {
    this.#asking = false;
    await Promise.all(this.#lanes);
  }

  async #ask(port: number, service: string): Promise<void> {
    let client = await Client.connect(port);
    while (this.#asking && this.wrong.length === 0) {
      client.send(`GET /hello HTTP/1.1\r\nHost: ${service}.shop\r\n\r\n`);
      const reply = await client.reply().catch((error: unknown) => String(error));
      if (typeof reply === 'string' || reply.status !== 200) {
        this.wrong.push(typeof reply === 'string' ? reply : `${reply.status} ${reply.body}`);
        break;
      }
      this.versions.push((JSON.parse(reply.body) as { version: string }).version);
      if (valueOf(reply, 'connection') === 'close') {
        client.destroy();
        client = await Client.connect(port);
      }
      await sleep(5);
    }
    client.destroy();
  }
}

async function ask(port: number, host: string, target = '/hello'): Promise<string> {
  const { status, body } = await exchange(port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return `${status} ${body}`;
}

/** A visitor's editor: writes a new file beside the old one and puts it in its place. */
function edit(file: string, change: (text: string) => string): void {
  const before = readFileSync(file, 'utf8');
  const after = change(before);
  assert.notEqual(after, before, 'The edit changes nothing');
  writeFileSync(`${file}.new`, after);
  renameSync(`${file}.new`, file);
}

test('the three curl lines work as they are printed', { skip: NO_CURL }, async (t) => {
  const demo = await Demo.start(t);
  assert.equal(demo.curlLines.length, 3, demo.out);
  const answers = await Promise.all(
    demo.curlLines.map(
      (line) =>
        new Promise<string>((resolve) => {
          execFile('sh', ['-c', line], { timeout: CHANGE_MS }, (_error, out) => resolve(out));
        }),
    ),
  );
  assert.match(answers[0]!, /^\{"service":"orders","version":"v[12]",.*"path":"\/hello"\}\n$/);
  assert.match(answers[1]!, /^\{"service":"users",.*"path":"\/hello"\}\n$/);
  assert.match(answers[2]!, /^HTTP\/1\.1 404 [\s\S]*x-heddle-failure: not-enabled[\s\S]*heddle\.dev\/enabled/);
});

test('it sends requests of its own, and says that they come in', async (t) => {
  const demo = await Demo.start(t);
  await demo.says(/^shop\/orders: requests come in, all succeed$/m);
  await demo.says(/^shop\/users: requests come in, all succeed$/m);
});

test('--no-traffic leaves the mesh to the visitor', async (t) => {
  const demo = await Demo.start(t, { args: ['--no-traffic'] });
  const callers = new Callers(demo.port, 'orders');
  await demo.says(/^shop\/orders: requests come in/m);
  await callers.stop();
  await demo.says(/^shop\/orders: no more requests$/m);
  assert.doesNotMatch(demo.out, /^shop\/users: requests come in/m);
});

test('callers of users see no failure although a copy cuts connections', async (t) => {
  const demo = await Demo.start(t);
  await demo.says(/^shop\/users: requests come in/m);
  const callers = new Callers(demo.port, 'users');
  await eventually(() => callers.versions.length >= 300 || callers.wrong.length > 0, { waitMs: CHANGE_MS });
  // The farewell counts what was seen a second ago.
  await sleep(3000);
  await callers.stop();
  assert.deepEqual(callers.wrong, []);
  await demo.end();
  const [, retries] = await demo.says(/, (\d+) second tries$/m);
  assert.ok(Number(retries) > 0, 'Expected some requests to have needed a second try');
});

test('an edited manifest changes where requests go, and none is lost', async (t) => {
  const demo = await Demo.start(t);
  const callers = new Callers(demo.port, 'orders');
  await eventually(() => new Set(callers.versions).size === 2, { waitMs: CHANGE_MS, what: 'answers of both versions' });
  edit(demo.file('orders.yaml'), (text) => text.replace(/(endpoints: "[^",]+),[^"]+"/, '$1"'));
  await eventually(() => callers.onlyFrom('v1') || callers.wrong.length > 0, { waitMs: CHANGE_MS, what: 'only v1' });
  await callers.stop();
  assert.deepEqual(callers.wrong, []);
  await demo.says(/^shop\/orders: 1 endpoint gets its requests$/m);
});

test('a Service that is opted in by an edit answers', async (t) => {
  const demo = await Demo.start(t, { args: ['--no-traffic'] });
  assert.match(await ask(demo.port, 'stock.shop'), /^404 /);
  edit(demo.file('stock.yaml'), (text) => text.replace('enabled: "false"', 'enabled: "true"'));
  await demo.says(/^shop\/stock: 1 endpoint gets its requests$/m);
  assert.match(await ask(demo.port, 'stock.shop'), /^200 \{"service":"stock"/);
});

test('a broken manifest is named with file and line, changes nothing else, and its repair is told', async (t) => {
  const demo = await Demo.start(t);
  const callers = new Callers(demo.port, 'orders');
  const whole = readFileSync(demo.file('orders.yaml'), 'utf8');
  edit(demo.file('orders.yaml'), (text) => text.replace('enabled: "true"', 'enabled: "true'));
  await demo.says(/^Problem: orders\.yaml:\d+: /m);
  const seen = callers.versions.length;
  await eventually(() => callers.versions.length > seen + 40 || callers.wrong.length > 0, { waitMs: CHANGE_MS });
  edit(demo.file('orders.yaml'), () => whole);
  await demo.says(/^Solved: orders\.yaml:\d+: /m);
  await callers.stop();
  assert.deepEqual(callers.wrong, []);
});

test('a second demo beside the first takes the next ports and says so', async (t) => {
  const first = await Demo.start(t);
  const second = await Demo.start(t, { env: { HEDDLE_MESH_LISTEN: `127.0.0.1:${first.port}` } });
  assert.match(second.out, new RegExp(`^Port ${first.port} is taken: the mesh side is on ${second.port}\\.$`, 'm'));
  assert.ok(second.port > first.port);
  const answers = await Promise.all([first, second].map(({ port }) => ask(port, 'orders.shop')));
  for (const answer of answers) assert.match(answer, /^200 /);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends it at once with exit code 0 and leaves nothing behind`, async (t) => {
    const demo = await Demo.start(t);
    const copies = [...readFileSync(demo.file('users.yaml'), 'utf8').matchAll(/127\.0\.0\.1:(\d+)/g)];
    const idle = await Client.connect(demo.port);
    t.after(() => idle.destroy());
    await demo.end(signal);
    assert.equal(demo.exit, 0, demo.out);
    assert.match(demo.out, /\nEnded after \S+: \d+ requests/);
    assert.equal(existsSync(demo.folder), false, 'Expected the folder to be gone');
    for (const port of [demo.port, ...copies.map(([, copy]) => Number(copy))])
      await assert.rejects(Client.connect(port), { code: 'ECONNREFUSED' });
  });
}

test('--folder puts the manifests there and leaves them, and refuses a folder that holds something', async (t) => {
  const parent = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const folder = path.join(parent, 'a', 'shop');
  const demo = await Demo.start(t, { args: ['--folder', folder] });
  assert.equal(demo.folder, folder);
  await demo.end();
  assert.match(readFileSync(path.join(folder, 'orders.yaml'), 'utf8'), /name: orders/);
  const again = spawnSync(process.execPath, ['bin/heddle.js', 'demo', '--folder', folder], { encoding: 'utf8' });
  assert.deepEqual([again.status, again.stdout], [2, '']);
  assert.match(again.stderr, /--folder: Expected an empty or a new folder, got /);
});

test('HEDDLE_ variables apply', async (t) => {
  const demo = await Demo.start(t, { env: { HEDDLE_LIMIT_URL: '256' } });
  assert.match(await ask(demo.port, 'orders.shop', `/${'x'.repeat(300)}`), /^414 /);
});

test('an empty HEDDLE_MESH_LISTEN and a port alone open no other interface than loopback', async (t) => {
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.internal === false && address.family === 'IPv4');
  for (const listen of ['', '0']) {
    const demo = await Demo.start(t, { env: { HEDDLE_MESH_LISTEN: listen } });
    assert.match(await ask(demo.port, 'orders.shop'), /^200 /);
    for (const other of others)
      await assert.rejects(Client.connect(demo.port, { host: other!.address }), { code: 'ECONNREFUSED' });
    await demo.end();
  }
});

test('demo --help says what there is', () => {
  const { status, stdout } = spawnSync(process.execPath, ['bin/heddle.js', 'demo', '--help'], { encoding: 'utf8' });
  assert.equal(status, 0);
  for (const word of ['--folder', '--no-traffic', 'HEDDLE_MESH_LISTEN=']) assert.ok(stdout.includes(word), word);
});
