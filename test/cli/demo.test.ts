/** `heddle demo` as a visitor without a terminal has it: a child process, its text, requests to its mesh. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { valueOf } from '../harness/message.ts';
import { ended, heddle, startHeddle } from './heddle.ts';

const START_MS = 30_000;
const CHANGE_MS = 20_000;
const END_MS = 15_000;
const NO_CURL = spawnSync('curl', ['--version']).error === undefined ? false : 'there is no curl here';

const FREE_PORTS = {
  HEDDLE_MESH_LISTEN: '127.0.0.1:0',
  HEDDLE_ADMIN_LISTEN: '127.0.0.1:0',
  HEDDLE_BRIDGE_LISTEN: '127.0.0.1:0',
};

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
      env: { ...bare, ...FREE_PORTS, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (bytes: Buffer) => (this.out += bytes.toString('utf8')));
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.on('exit', kill);
    this.#child.on('close', (code, signal) => {
      process.off('exit', kill);
      this.exit = code ?? signal ?? undefined;
    });
  }

  /** Resolves when the guide was read to its end. */
  static async launch(options: DemoOptions = {}): Promise<Demo> {
    const demo = new Demo(options);
    await demo.says(/^ {2}\/.*\n(?:.+\n)?\n/m, START_MS);
    return demo;
  }

  /** Ended with the test, whatever became of it. */
  static async start(context: TestContext, options: DemoOptions = {}): Promise<Demo> {
    const demo = await Demo.launch(options);
    context.after(() => demo.stop());
    return demo;
  }

  /** Ends it where it has not been ended. */
  async stop(): Promise<void> {
    if (this.exit === undefined) await this.end();
    assert.ok(!this.out.includes('\u001b'), 'Expected no escape sequence without a terminal');
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

  /** What a shell gets for it, as it gets it: `text()` grows until it is ended with the test. */
  shell(context: TestContext, line: string): { text: () => string } {
    let text = '';
    const child = spawn('sh', ['-c', `exec ${line.trim()}`], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')));
    context.after(() => child.kill());
    return { text: () => text };
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

  /** They stop with the test, whatever became of it. */
  constructor(context: TestContext, port: number, service: string) {
    context.after(() => this.stop());
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
  const old = readFileSync(file, 'utf8');
  const edited = change(old);
  assert.notEqual(edited, old, 'The edit changes nothing');
  writeFileSync(`${file}.new`, edited);
  renameSync(`${file}.new`, file);
}

/** Runs one that is expected to refuse. */
function refused(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { code: number | null; out: string; err: string } {
  const bare = { PATH: process.env['PATH'], HEDDLE_DIST: process.env['HEDDLE_DIST'], ...env };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/heddle.js', 'demo', ...args], {
    env: bare,
    encoding: 'utf8',
    timeout: START_MS,
    killSignal: 'SIGKILL',
  });
  return { code: status, out: stdout, err: stderr };
}

async function leavesNothing(demo: Demo, signal: NodeJS.Signals): Promise<void> {
  const copies = [...readFileSync(demo.file('users.yaml'), 'utf8').matchAll(/127\.0\.0\.1:(\d+)/g)];
  const idle = await Client.connect(demo.port);
  try {
    await demo.end(signal);
  } finally {
    idle.destroy();
  }
  assert.equal(demo.exit, 0, demo.out);
  assert.match(demo.out, /\nEnded after \S+: \d+ requests/);
  assert.equal(existsSync(demo.folder), false, 'Expected the folder to be gone');
  for (const port of [demo.port, ...copies.map(([, copy]) => Number(copy))])
    await assert.rejects(Client.connect(port), { code: 'ECONNREFUSED' });
}

async function isOnLoopbackOnly({ port }: Demo): Promise<void> {
  assert.match(await ask(port, 'orders.shop'), /^200 /);
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.internal === false && address.family === 'IPv4');
  for (const other of others)
    await assert.rejects(Client.connect(port, { host: other!.address }), { code: 'ECONNREFUSED' });
}

// A demo takes a second to start: each of these serves the tests below it in their order, and the last one ends it.
describe('heddle demo', () => {
  let demo: Demo;
  before(async () => {
    demo = await Demo.launch();
  });
  after(() => demo.stop());

  test('prints three curl lines to the mesh that work as they are', { skip: NO_CURL }, async () => {
    assert.equal(demo.curlLines.length, 5, demo.out);
    const answers = await Promise.all(
      demo.curlLines.slice(0, 3).map(
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

  test(
    'prints two for messages: what the second publishes, the first hears and Service mail gets',
    { skip: NO_CURL },
    async (t) => {
      assert.match(demo.out, /^Messages go through (?:a broker of the demo|nats-server \d)/m);
      const [listen = '', publish = ''] = demo.curlLines.slice(3);
      const heard = demo.shell(t, listen);
      // The first octets come when it listens.
      await eventually(() => heard.text() !== '', { waitMs: CHANGE_MS, what: 'an event stream' });
      demo.shell(t, publish);
      await eventually(() => heard.text().includes('{\\"item\\":\\"tea\\"}'), {
        waitMs: CHANGE_MS,
        what: heard.text(),
      });
      await demo.says(/^mail got demo\.orders\.created: \{"item":"tea"\}$/m);
      await demo.says(/^shop\/mail: requests come in, all succeed$/m);
    },
  );

  test('heddle nats speaks with its bridge', async (t) => {
    const bridge = /http:\/\/127\.0\.0\.1:\d+(?=\/v1\/publish)/.exec(demo.out)![0];
    const listener = startHeddle(['nats', 'sub', 'demo.>', '--count', '1', '--bridge', bridge]);
    t.after(() => listener.kill());
    const heard = ended(listener);
    // Nobody knows when it listens: one of these it hears.
    const endMs = performance.now() + CHANGE_MS;
    while (listener.exitCode === null && performance.now() < endMs) {
      const { code, out } = await heddle(['nats', 'pub', 'demo.hello', 'world', '--bridge', bridge]);
      assert.deepEqual([code, out], [0, 'Sent: the NATS server has it\n']);
    }
    assert.deepEqual(await heard, { code: 0, out: 'demo.hello world\n', err: '' });
    const { code, err } = await heddle(['nats', 'pub', 'other.things', 'x', '--bridge', bridge]);
    assert.equal(code, 1);
    assert.match(err, /\(not-allowed\)\n.*other\.things.*\nNothing was sent\n$/);
  });

  test('refuses to publish what its policy does not name, and says so', { skip: NO_CURL }, async (t) => {
    const [, publish = ''] = demo.curlLines.slice(3);
    const answer = demo.shell(t, publish.replace('/demo.orders.created', '/other.things'));
    await eventually(() => answer.text().includes('"code":"not-allowed"'), { waitMs: CHANGE_MS, what: 'a refusal' });
  });

  test('sends requests of its own, and says that they come in', async () => {
    await demo.says(/^shop\/orders: requests come in, all succeed$/m);
    await demo.says(/^shop\/users: requests come in, all succeed$/m);
  });

  test('takes the next ports beside another one and says so, and gives none of them out twice', async (t) => {
    const wanted = `127.0.0.1:${demo.port}`;
    const second = await Demo.start(t, { env: { HEDDLE_MESH_LISTEN: wanted, HEDDLE_ADMIN_LISTEN: wanted } });
    assert.match(second.out, new RegExp(`^Port ${demo.port} is taken: the mesh side is on ${second.port}\\.$`, 'm'));
    const [, admin] = await second.says(
      new RegExp(`^Port ${demo.port} is taken: the admin side is on (\\d+)\\.$`, 'm'),
    );
    assert.ok(demo.port < second.port && second.port < Number(admin), second.out);
    assert.match(await ask(demo.port, 'orders.shop'), /^200 /);
    assert.match(await ask(second.port, 'orders.shop'), /^200 /);
    await leavesNothing(second, 'SIGHUP');
  });

  test('shows callers of users no failure although a copy cuts connections', async (t) => {
    const callers = new Callers(t, demo.port, 'users');
    await eventually(() => callers.versions.length >= 300 || callers.wrong.length > 0, { waitMs: CHANGE_MS });
    await callers.stop();
    assert.deepEqual(callers.wrong, []);
  });

  test('names a broken manifest with file and line, changes nothing else, and tells its repair', async (t) => {
    const callers = new Callers(t, demo.port, 'orders');
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

  test('sends requests where an edited manifest says, and loses none', async (t) => {
    const callers = new Callers(t, demo.port, 'orders');
    await eventually(() => new Set(callers.versions).size === 2, {
      waitMs: CHANGE_MS,
      what: 'answers of both versions',
    });
    edit(demo.file('orders.yaml'), (text) => text.replace(/(endpoints: "[^",]+),[^"]+"/, '$1"'));
    await eventually(() => callers.onlyFrom('v1') || callers.wrong.length > 0, { waitMs: CHANGE_MS, what: 'only v1' });
    await callers.stop();
    assert.deepEqual(callers.wrong, []);
    await demo.says(/^shop\/orders: 1 endpoint gets its requests$/m);
  });

  test('ends at once at SIGINT with exit code 0, leaves nothing behind and sums up', async () => {
    await leavesNothing(demo, 'SIGINT');
    const [, retries] = await demo.says(/, (\d+) second tries$/m);
    assert.ok(Number(retries) > 0, 'Expected some requests to have needed a second try');
  });
});

describe('heddle demo --no-traffic', () => {
  let demo: Demo;
  before(async () => {
    // A port alone.
    demo = await Demo.launch({ args: ['--no-traffic'], env: { HEDDLE_MESH_LISTEN: '0', HEDDLE_LIMIT_URL: '256' } });
  });
  after(() => demo.stop());

  test('opens no other interface than loopback where HEDDLE_MESH_LISTEN is a port alone', async () => {
    await isOnLoopbackOnly(demo);
  });

  test('obeys HEDDLE_ variables', async () => {
    assert.match(await ask(demo.port, 'orders.shop', `/${'x'.repeat(300)}`), /^414 /);
  });

  test('carries requests to a Service that is opted in by an edit', async () => {
    assert.match(await ask(demo.port, 'stock.shop'), /^404 /);
    edit(demo.file('stock.yaml'), (text) => text.replace('enabled: "false"', 'enabled: "true"'));
    await demo.says(/^shop\/stock: 1 endpoint gets its requests$/m);
    assert.match(await ask(demo.port, 'stock.shop'), /^200 \{"service":"stock"/);
  });

  test('leaves the mesh to the visitor', async (t) => {
    const callers = new Callers(t, demo.port, 'stock');
    await demo.says(/^shop\/stock: requests come in/m);
    await callers.stop();
    assert.doesNotMatch(demo.out, /^shop\/users: requests come in/m);
  });

  test('ends at once at SIGTERM with exit code 0 and leaves nothing behind', async () => {
    await leavesNothing(demo, 'SIGTERM');
  });
});

describe('heddle demo --folder', () => {
  let parent: string;
  before(() => {
    parent = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  });
  after(() => rmSync(parent, { recursive: true, force: true }));

  test('puts the manifests there and leaves them, and the next demo refuses them', async (t) => {
    const folder = path.join(parent, 'a', 'shop');
    // An empty variable counts as absent: the mesh is where it is by default.
    const demo = await Demo.start(t, { args: ['--folder', folder], env: { HEDDLE_MESH_LISTEN: '' } });
    await isOnLoopbackOnly(demo);
    assert.equal(demo.folder, folder);
    await demo.end();
    assert.match(readFileSync(path.join(folder, 'orders.yaml'), 'utf8'), /name: orders/);
    const { code, out, err } = refused(['--folder', folder]);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^heddle: --folder: Expected an empty or a new folder, got .*\n$/);
  });

  test('refuses a file, and a place where no folder can be made, exit 2', () => {
    const file = path.join(parent, 'file');
    writeFileSync(file, '');
    // Node's recursive mkdir tries for ever in /proc.
    const places = existsSync('/proc') ? [file, '/proc/x/y'] : [file];
    for (const place of places) {
      const { code, out, err } = refused(['--folder', place]);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, /^heddle: --folder: Expected a folder that can be written, got E[A-Z]+: .*\n$/);
    }
  });
});

test('without a place for temporary files it says what to do, exit 1', () => {
  const { code, out, err } = refused([], { TMPDIR: path.join(import.meta.dirname, 'missing') });
  assert.deepEqual([code, out], [1, '']);
  assert.match(
    err,
    /^heddle: Expected a place for temporary files that can be written, got ENOENT: .*\nSet TMPDIR to such a place, or use --folder DIR\n$/,
  );
});

test('a nats-server on the PATH that does not start is told, and the broker of the demo stands in', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'nats-server'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const demo = await Demo.start(t, { args: ['--no-traffic'], env: { PATH: folder, TMPDIR: folder } });
  const told = 'the nats-server on the PATH does not work: Expected nats-server to start, got its end';
  assert.ok(demo.out.includes(`Messages go through a broker of the demo (${told}).\n`), demo.out);
  await demo.end();
  assert.deepEqual(readdirSync(folder), ['nats-server']);
});

test('demo --help says what there is', () => {
  const { status, stdout } = spawnSync(process.execPath, ['bin/heddle.js', 'demo', '--help'], { encoding: 'utf8' });
  assert.equal(status, 0);
  for (const word of ['--folder', '--nats-url', '--no-traffic', 'HEDDLE_MESH_LISTEN='])
    assert.ok(stdout.includes(word), word);
});
