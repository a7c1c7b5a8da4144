import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Client, eventually, type FinalReply, sleep } from '../harness/client.ts';
import { Mesh, serviceManifest } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Moody } from '../harness/moody.ts';
import { bodyOf, Echo, echoed, RoutedLoad } from '../harness/routed-load.ts';
import { route, to } from '../harness/rules-scene.ts';
import { exposition } from '../harness/telemetry.ts';
import type { Note } from './disturbance.ts';
import { type Figure, milliseconds } from './figures.ts';
import type { Order } from './shedding-crowd.ts';

const KINDS = ['mirror', 'retry', 'delivery', 'request', 'upload', 'connection'] as const;
type Kind = (typeof KINDS)[number];

/** Half of them ask. */
const CONNECTIONS = 1000;
/**
 * A fifth of what it is by default. A turn with one request of each client takes about 150 ms of the processor: on a machine that is busy
 * with other things that may be a whole second, and from 1.5 s on a worker is taken for stuck.
 */
const LOOP_DELAY_MS = 40;
/** An expression that takes 0.3 ms for this text: so the worker has the most to do, and not the clients. */
const EXPRESSION = '.*x{16}y.*';
const TEXT = 'x'.repeat(1200);
const LOOK_MS = 200;
const BEGIN_MS_MAX = 15_000;
const PRESS_MS = 5000;
const EASE_MS_MAX = 20_000;
const AFTER_MS = 1500;
const PROBE_MS_MAX = 2000;
const WITNESSES = 4;
const EVERY_MS = 20;

/** Overload of a real node: what it refuses, in which order, and what it never does. */
export async function shedding(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const noteOf =
    (scenario: string): Note =>
    (what, measured, wanted, ok) =>
      figures.push({ scenario, what, measured, wanted, ok });
  await busyLoop(noteOf('shedding, event loop'));
  await fullHeap(noteOf('shedding, heap'));
  return figures;
}

/** What a node tells of itself. */
interface Look {
  readonly atMs: number;
  /** By worker. */
  readonly pressures: readonly number[];
  readonly shed: Readonly<Record<Kind, number>>;
  readonly probed: boolean;
  readonly probeMs: number;
}

async function lookAt(mesh: Mesh): Promise<Look> {
  const startMs = performance.now();
  const probed = (await Promise.all([mesh.probe('/livez'), mesh.probe('/readyz')])).every(Boolean);
  const probeMs = performance.now() - startMs;
  const samples = await exposition(mesh);
  const pressures = samples.filter(({ name }) => name === 'heddle_pressure').map(({ value }) => value);
  const shed = Object.fromEntries(
    samples.filter(({ name }) => name === 'heddle_shed_total').map(({ labels, value }) => [labels['kind'], value]),
  ) as Look['shed'];
  return { atMs: performance.now(), pressures, shed, probed, probeMs };
}

/** Looks again and again. */
class Watch {
  readonly looks: Look[] = [];
  #over = false;
  readonly #done: Promise<void>;

  constructor(mesh: Mesh) {
    this.#done = this.#run(mesh);
  }

  get last(): Look | undefined {
    return this.looks.at(-1);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  async #run(mesh: Mesh): Promise<void> {
    while (!this.#over) {
      this.looks.push(await lookAt(mesh));
      await sleep(LOOK_MS);
    }
  }
}

/** Clients and an endpoint in a process of their own. */
class Crowd {
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.address = `127.0.0.1:${port}`;
  }

  static async start(): Promise<Crowd> {
    const child = fork(join(import.meta.dirname, 'shedding-crowd.ts'), { execArgv: [] });
    const [port] = (await once(child, 'message')) as [number];
    return new Crowd(child, port);
  }

  async obey(order: Order): Promise<void> {
    const done = once(this.#child, 'message');
    this.#child.send(order);
    await done;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

/** One of two workers has more to do than it can. */
async function busyLoop(note: Note): Promise<void> {
  const crowd = await Crowd.start();
  const echo = await Echo.start('echo');
  const mesh = await crowdedMesh(crowd.address, echo.address);
  await crowd.obey({ type: 'connect', port: mesh.port, connections: CONNECTIONS, text: TEXT });
  const witness = new Witness(mesh.port);
  const watch = new Watch(mesh);
  const pressedMs = performance.now();
  await crowd.obey({ type: 'press' });
  await eventually(() => (watch.last?.shed.request ?? 0) > 0, { what: 'requests to be refused', waitMs: BEGIN_MS_MAX });
  const refusedMs = performance.now();
  await sleep(PRESS_MS);
  await crowd.obey({ type: 'leave' });
  const leftMs = performance.now();
  const calm = (): boolean => watch.last?.pressures.every((level) => level === 0) === true;
  await eventually(calm, { what: 'the pressure to fall', waitMs: EASE_MS_MAX });
  const easedMs = performance.now();
  const before = witness.refusals;
  await sleep(AFTER_MS);
  await watch.stop();
  await witness.stop();
  const after = witness.refusals - before;
  await mesh.stop();
  await crowd.stop();
  await echo.stop();

  note('requests are refused after', milliseconds(refusedMs - pressedMs), 'some seconds', true);
  orderNotes(watch.looks, note);
  witness.note(note);
  const unwell = watch.looks.filter(({ probed }) => !probed).length;
  const longest = Math.max(...watch.looks.map(({ probeMs }) => probeMs));
  note('probes that were not answered 200', `${unwell} of ${2 * watch.looks.length}`, '0', unwell === 0);
  note('longest pair of probes', milliseconds(longest), `fails from ${PROBE_MS_MAX} ms`, longest < PROBE_MS_MAX);
  const pressed = watch.looks.filter(({ atMs }) => atMs < leftMs);
  const [busy = 0, idle = 0] = [0, 1]
    .map((worker) => pressed.reduce((sum, { pressures }) => sum + pressures[worker]!, 0) / pressed.length)
    .toSorted((one, other) => other - one);
  const told = `${busy.toFixed(2)}, ${idle.toFixed(2)}`;
  note('mean pressure of the busy and the other worker', told, 'goal 0 of the other, fails if not less', idle < busy);
  note('no pressure any more after', milliseconds(easedMs - leftMs), `${EASE_MS_MAX} ms`, true);
  note('refused then', String(after), '0', after === 0);
  note('workers lost', String(mesh.losses.length), '0', mesh.losses.length === 0);
}

async function crowdedMesh(crowded: string, quiet: string): Promise<Mesh> {
  const service = (name: string, endpoint: string, annotations: Readonly<Record<string, string>> = {}): object =>
    serviceManifest({ name, namespace: 'shop', endpoints: [endpoint], annotations });
  const costly = { headers: [{ name: 'x-text', type: 'RegularExpression', value: EXPRESSION }] };
  const mirror = { type: 'RequestMirror', requestMirror: { backendRef: to('copies') } };
  const objects = [
    service('crowd', crowded),
    service('copies', crowded),
    service('flaky', crowded, { 'heddle.dev/retry-on': '503' }),
    service('orders', quiet),
    route('crowd', [{ matches: [costly] }, { filters: [mirror], backendRefs: [to('crowd')] }]),
  ];
  const flags = [
    '--admin-listen=127.0.0.1:0',
    `--limit-connections-per-source=${2 * CONNECTIONS}`,
    `--limit-upstream-connections=${CONNECTIONS}`,
    `--limit-loop-delay=${LOOP_DELAY_MS}ms`,
  ];
  return Mesh.start({ services: [], objects, workers: 2, flags });
}

/** The cheapest to refuse first. */
function orderNotes(looks: readonly Look[], note: Note): void {
  const total = looks.at(-1)!.shed;
  const firstMs = (kind: Kind): number => looks.find(({ shed }) => shed[kind] > 0)?.atMs ?? Infinity;
  const told = KINDS.map((kind) => `${kind} ${total[kind]}`).join(', ');
  note('refused', told, 'mirrors, retries, requests', total.mirror > 0 && total.retry > 0 && total.request > 0);
  const began = (['mirror', 'retry', 'request', 'upload'] as const).map(
    (kind) => `${kind} ${((firstMs(kind) - looks[0]!.atMs) / 1000).toFixed(1)} s`,
  );
  const ordered =
    Math.max(firstMs('mirror'), firstMs('retry')) <= firstMs('request') && firstMs('request') <= firstMs('upload');
  note('first refused', began.join(', '), 'in this order', ordered);
}

type Asked = 'GET' | 'POST';

/** Clients that wait their time, and look at each byte that they get. */
class Witness {
  readonly #load: RoutedLoad;
  readonly #served = { GET: 0, POST: 0 };
  readonly #refused = { GET: 0, POST: 0 };

  constructor(port: number) {
    this.#load = new RoutedLoad(port, {
      clients: WITNESSES,
      everyMs: EVERY_MS,
      request: (number) => {
        const head = `${methodOf(number)} /${number} HTTP/1.1\r\nHost: orders.shop\r\n`;
        const body = bodyOf(number);
        return methodOf(number) === 'GET' ? `${head}\r\n` : `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
      },
      judge: (reply, number) => this.#judge(reply, number),
    });
  }

  get refusals(): number {
    return this.#refused.GET + this.#refused.POST;
  }

  async stop(): Promise<void> {
    await this.#load.stop();
  }

  note(note: Note): void {
    const { failures } = this.#load;
    const served = this.#served.GET + this.#served.POST;
    note(
      'others: served with the right bytes, refused',
      `${served}, ${this.refusals}`,
      'both; nothing else',
      served > 0 && this.refusals > 0 && failures.length === 0,
    );
    if (failures.length > 0) note('others: what was wrong', `${failures.length}: ${failures[0]}`, 'nothing', false);
    const share = (asked: Asked): number => this.#refused[asked] / (this.#refused[asked] + this.#served[asked]);
    note(
      'of their GETs and their uploads refused',
      `${(100 * share('GET')).toFixed(1)} %, ${(100 * share('POST')).toFixed(1)} %`,
      'less uploads',
      share('POST') < share('GET'),
    );
  }

  #judge(reply: FinalReply, number: number): string {
    const asked = methodOf(number);
    if (reply.status === 503) {
      this.#refused[asked]++;
      const { code } = JSON.parse(reply.body) as { readonly code: string };
      const told = [valueOf(reply, 'x-heddle-failure'), code, valueOf(reply, 'retry-after')].join(' ');
      return told === 'shed shed 1' ? '' : `Expected shed shed 1, got ${told}`;
    }
    this.#served[asked]++;
    const body = asked === 'GET' ? '' : bodyOf(number);
    const expected = `echo ${echoed({ method: asked, url: `/${number}`, headers: {} }, body)}`;
    return reply.status === 200 && reply.body === expected ? '' : `${reply.status} ${reply.body.slice(0, 100)}`;
  }
}

function methodOf(number: number): Asked {
  return number % 2 === 0 ? 'GET' : 'POST';
}

const HEAP_MIB = 128;
const HEAP_SHARE = 0.6;
/** Beside the 10 to 20 MiB that a worker takes: two thirds, and five sixths of its heap. */
const HOARD_MIB = 70;
const HOARD_MIB_FULL = 95;
const TRIES = 40;
const HEAP_MS_MAX = 10_000;

/** A worker whose heap fills up, and is emptied. */
async function fullHeap(note: Note): Promise<void> {
  const upstream = await Moody.start();
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [upstream.address] }],
    workers: 1,
    saboteur: true,
    flags: ['--admin-listen=127.0.0.1:0', `--limit-worker-heap=${HEAP_MIB}MiB`, `--limit-heap=${100 * HEAP_SHARE}%`],
  });
  const [kept, waiting] = await Promise.all([Client.connect(mesh.port), Client.connect(mesh.port)]);
  upstream.treat = () => 'silent';
  waiting.send(GET);
  await eventually(() => upstream.underWay === 1, { what: 'a request to be under way' });
  upstream.treat = () => 'answer';
  const watch = new Watch(mesh);

  const calm = await answers(kept);
  await mesh.sabotage(0, `hoard ${HOARD_MIB}`);
  await eventually(() => (watch.last?.pressures[0] ?? 0) > 0.3, { what: 'the pressure to rise', waitMs: HEAP_MS_MAX });
  const nearly = await answers(kept);
  const opened = await connections(mesh.port);
  await mesh.sabotage(0, `hoard ${HOARD_MIB_FULL}`);
  // Two verdicts later.
  await sleep(1500);
  const full = await answers(kept);
  const refused = await connections(mesh.port);
  upstream.release();
  const late = await waiting.reply();
  await mesh.sabotage(0, 'hoard 0');
  // It collects garbage. By itself V8 does when it needs the room, or some seconds after nothing happens.
  await mesh.holdings(0);
  const emptiedMs = performance.now();
  await eventually(() => watch.last?.pressures[0] === 0, { what: 'the pressure to fall', waitMs: EASE_MS_MAX });
  const easedMs = performance.now();
  const after = await answers(kept);
  const again = await connections(mesh.port);
  await watch.stop();
  for (const client of [kept, waiting]) client.destroy();
  await mesh.stop();
  await upstream.stop();

  const ofTries = (count: number): string => `${count} of ${TRIES}`;
  note('refused before', ofTries(calm.refused), '0', calm.refused === 0);
  note('refused beyond 60 %', ofTries(nearly.refused), 'some', nearly.refused > 0 && nearly.refused < TRIES);
  note('new connections served then', ofTries(opened), 'all', opened === TRIES);
  note('new connections served beyond 80 %', ofTries(refused), '0', refused === 0);
  note('answers on one that was open', ofTries(full.answered), 'all', full.answered === TRIES);
  note('what was under way', String(late.status), '200', late.status === 200);
  note(
    'probes that were not answered 200',
    String(watch.looks.filter(({ probed }) => !probed).length),
    '0',
    watch.looks.every(({ probed }) => probed),
  );
  note('no pressure any more after', milliseconds(easedMs - emptiedMs), `${EASE_MS_MAX} ms`, true);
  note('refused then', ofTries(after.refused), '0', after.refused === 0);
  note('new connections served then', ofTries(again), 'all', again === TRIES);
}

const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';

interface Answers {
  readonly answered: number;
  readonly refused: number;
}

/** Of requests one after the other on one connection. */
async function answers(client: Client): Promise<Answers> {
  let refused = 0;
  let served = 0;
  for (let count = 0; count < TRIES; count++) {
    client.send(GET);
    const reply = await client.reply();
    if (reply.status === 200) served++;
    else if (valueOf(reply, 'x-heddle-failure') === 'shed') refused++;
  }
  return { answered: served + refused, refused };
}

/** @returns how many got an answer, whichever, each on a connection of its own. */
async function connections(port: number): Promise<number> {
  let answered = 0;
  for (let count = 0; count < TRIES; count++) {
    const client = await Client.connect(port);
    client.send(GET);
    const reply = await client.reply().catch(() => undefined);
    client.destroy();
    if (reply !== undefined) answered++;
  }
  return answered;
}
