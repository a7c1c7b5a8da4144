import { Client, exchange, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { parseRequest } from '../harness/message.ts';
import { ProcessUpstream } from '../harness/process-upstream.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { Upstream } from '../harness/upstream.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import type { Figure, Verdict } from './figures.ts';

const ROUNDS = 5;
const UNDER_WAY = 20;
const NEXT = 50;
const GETS = 2000;
const POSTS = 500;
const CLIENTS = 10;
/** An endpoint that failed is avoided for a while, by each Service for itself: so there are many. */
const SERVICES = 250;

/** Endpoints that die: by `kill -9` in the middle of bodies, and a little at almost every request. */
export async function upstreamDeath(): Promise<Figure[]> {
  return [...(await withEachDisturbance('upstream kill -9', kills)), ...(await nervous())];
}

interface Kills {
  underWay: number;
  cleanEnds: number;
  repeated: number;
  next: number;
  nextFailed: number;
}

async function kills(disturbance: Disturbance, note: Note): Promise<void> {
  const seen: Kills = { underWay: 0, cleanEnds: 0, repeated: 0, next: 0, nextFailed: 0 };
  for (let round = 0; round < ROUNDS; round++) await killOnce(disturbance, seen);
  const none = (what: string, count: number, of: number): void =>
    note(what, `${count} of ${of}`, '0', count === 0 && of > 0);
  none('bodies under way, by length and chunked, that ended cleanly', seen.cleanEnds, seen.underWay);
  none('of them repeated at the other endpoint', seen.repeated, seen.underWay);
  none('requests right after it that failed', seen.nextFailed, seen.next);
}

async function killOnce(disturbance: Disturbance, seen: Kills): Promise<void> {
  const dying = await ProcessUpstream.start();
  const other = await Recorder.start();
  const services = [{ name: 'orders', endpoints: [dying.address, other.address] }];
  const mesh = await Mesh.start({ services, saboteur: true });
  const asked = Array.from({ length: 2 * UNDER_WAY }, async (_, index) => {
    const client = await Client.connect(mesh.port);
    client.send(`GET ${index % 2 === 0 ? '/length' : '/chunked'} HTTP/1.1\r\nHost: orders.test\r\n\r\n`);
    await client.until(() => client.received.includes('xxxx') || client.received.endsWith('ok'));
    return client;
  });
  const clients = await Promise.all(asked);
  const broken = clients.filter(({ received }) => received.includes('xxxx'));
  const elsewhere = other.requests.length;
  await disturbance.strike(mesh, services);
  await dying.kill();
  const replies = await Promise.all(broken.map(async (client) => client.reply()));
  seen.underWay += broken.length;
  seen.cleanEnds += replies.filter(({ complete }) => complete).length;
  seen.repeated += other.requests.length - elsewhere;
  for (let turn = 0; turn < NEXT; turn++) {
    const reply = await exchange(mesh.port, 'POST /next HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 2\r\n\r\nhi');
    seen.next++;
    if (reply.status !== 200) seen.nextFailed++;
  }
  for (const client of clients) client.destroy();
  await mesh.stop();
  await other.stop();
}

/** What an endpoint does with a request instead of answering it well; the rest of the time it answers. */
const MOODS = [
  'reset',
  'end',
  'answer-and-end',
  'answer-and-reset',
  'end-later',
  'answer',
  'answer',
  'answer',
] as const;

/** One endpoint of two resets and closes at random: before an answer, after it, and idle connections. */
async function nervous(): Promise<Figure[]> {
  const arrivals = new Map<string, number>();
  const count = (target: string): void => void arrivals.set(target, (arrivals.get(target) ?? 0) + 1);
  let spoiled = 0;
  const bad = await Upstream.start((connection) => {
    const { socket } = connection;
    socket.on('data', () => {
      const request = parseRequest(connection.received);
      if (request?.complete !== true) return;
      connection.received = '';
      count(request.target);
      const mood = MOODS[Math.floor(Math.random() * MOODS.length)] ?? 'answer';
      if (mood.startsWith('answer') || mood === 'end-later') connection.send(okReply(request));
      else spoiled++;
      if (mood === 'end-later') setTimeout(() => socket.end(), 1 + Math.random() * 5);
      else if (mood.endsWith('reset')) setImmediate(() => socket.resetAndDestroy());
      else if (mood.endsWith('end')) socket.end();
    });
  });
  const good = await Recorder.start((request, connection) => {
    count(request.target);
    connection.send(okReply(request));
  });
  const endpoints = [bad.address, good.address];
  const services = Array.from({ length: SERVICES }, (_, index) => ({ name: `s${index}`, endpoints }));
  const mesh = await Mesh.start({ services });
  const run = async (requests: number, text: (index: number) => string): Promise<number> => {
    let index = 0;
    let failed = 0;
    const loops = Array.from({ length: CLIENTS }, async () => {
      while (index < requests) {
        const reply = await exchange(mesh.port, text(index++));
        if (reply.status !== 200 || !reply.complete) failed++;
        await sleep(1);
      }
    });
    await Promise.all(loops);
    return failed;
  };
  const posts = await run(
    POSTS,
    (index) => `POST /post-${index} HTTP/1.1\r\nHost: s${index % SERVICES}.test\r\nContent-Length: 2\r\n\r\nhi`,
  );
  const gets = await run(GETS, (index) => `GET /get-${index} HTTP/1.1\r\nHost: s${index % SERVICES}.test\r\n\r\n`);
  await mesh.stop();
  await Promise.all([bad.stop(), good.stop()]);
  const repeated = [...arrivals].filter(([target, times]) => target.startsWith('/post') && times > 1).length;
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'nervous upstream',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      'failed GETs with a second endpoint',
      `${gets} of ${GETS}, ${spoiled} attempts not answered`,
      '0',
      gets === 0 && spoiled > 0,
    ),
    figure('POSTs that arrived twice', `${repeated} of ${POSTS}`, '0', repeated === 0),
    figure('failed POSTs, which are not repeated', `${posts} of ${POSTS}`, 'reported', true),
  ];
}
