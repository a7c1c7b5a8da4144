import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { choose } from '../load/choice.ts';
import { fetchChecked, HOST } from '../load/fetch.ts';
import { describeMachine, onPath } from '../load/machine.ts';
import { type Peer, PEERS, startPeer } from '../load/peers.ts';
import { residentBytes } from '../load/process.ts';
import { table } from '../load/report.ts';
import { CONTENTS, parseShapes } from '../load/shapes.ts';
import { type Running, Stage } from '../load/stage.ts';
import { startUpstreams } from '../load/upstreams.ts';
import { runWrk } from '../load/wrk.ts';

const DEFAULT_PEERS = 'nginx,haproxy,envoy,traefik,http-proxy,heddle,heddle-1worker';

const HELP = `Measures memory: of idle keep-alive connections, and after load.

  npm run bench:idle -- [--peers LIST] [--connections N] [--load-seconds S] [--json FILE]

  --peers LIST        default ${DEFAULT_PEERS}
  --connections N     idle connections counted, each after one request (4000)
  --load-seconds S    keep-alive load before the last figure: 1 KiB over 64 connections (6)

How to read the figures: bench/README.md
`;

/** The first connections make a proxy set up what it keeps anyway (code, pools, tables); they are not counted. */
const UNCOUNTED_CONNECTIONS = 200;
const AT_ONCE = 50;
const SETTLE_MS = 1500;

const GOALS = { connectionKB: 10, twoWorkersMB: 100 } as const;

interface Memory {
  readonly peer: string;
  readonly version: string;
  readonly startMB: number;
  readonly connectionKB: number;
  readonly stillOpen: number;
  readonly afterLoadMB: number;
}

interface Options {
  readonly peers: readonly Peer[];
  readonly connections: number;
  readonly loadSeconds: number;
  readonly json: string | undefined;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    say(HELP);
    return;
  }
  if (onPath('wrk') === undefined || onPath('nginx') === undefined)
    throw new Error(
      'Expected wrk (load tool) and nginx (upstream) on the PATH; on Debian and Ubuntu: apt-get install wrk nginx',
    );
  if (options.json !== undefined) mkdirSync(dirname(options.json), { recursive: true });
  const stage = new Stage();
  try {
    const rows = await measureAll(stage, options);
    say(report(rows, options.connections));
    if (options.json === undefined) return;
    const lines = rows.map((row) => JSON.stringify(row)).join(',\n  ');
    const { connections, loadSeconds } = options;
    const head = JSON.stringify(
      {
        date: new Date().toISOString(),
        machine: describeMachine(),
        node: process.versions.node,
        connections,
        loadSeconds,
      },
      undefined,
      1,
    );
    writeFileSync(options.json, `${head.slice(0, -2)},\n "results": [\n  ${lines}\n ]\n}\n`);
    say(`Kept in ${options.json}`);
  } finally {
    await stage.close();
  }
}

/** One peer after the other: memory does not depend on the neighbours as time does. */
async function measureAll(stage: Stage, options: Options): Promise<Memory[]> {
  const upstreams = await startUpstreams(stage);
  const rows: Memory[] = [];
  for (const peer of options.peers) {
    const found = peer.find();
    if ('absent' in found) {
      say(`${peer.name}: absent, ${found.absent}`);
      continue;
    }
    try {
      const idle = await withPeer(stage, peer, upstreams, (running, port) =>
        measureIdle(running, port, options.connections),
      );
      const afterLoadMB = await withPeer(stage, peer, upstreams, (running, port) =>
        measureAfterLoad(running, port, options.loadSeconds),
      );
      rows.push({ peer: peer.name, version: found.version, ...idle, afterLoadMB });
      say(`${peer.name} ${found.version}: measured`);
    } catch (error) {
      say(`${peer.name}: left out, ${(error as Error).message}`);
    }
  }
  return rows;
}

async function withPeer<T>(
  stage: Stage,
  peer: Peer,
  upstreams: readonly number[],
  measure: (running: Running, port: number) => Promise<T>,
): Promise<T> {
  const { running, port } = await startPeer(stage, peer, {
    upstreams,
    ask: (asked) => fetchChecked(asked, CONTENTS['1k']),
  });
  try {
    return await measure(running, port);
  } finally {
    await stage.stop(running);
  }
}

async function measureIdle(
  running: Running,
  port: number,
  connections: number,
): Promise<{ startMB: number; connectionKB: number; stillOpen: number }> {
  await sleep(SETTLE_MS);
  const start = residentBytes(running.pid);
  const uncounted = await openConnections(port, UNCOUNTED_CONNECTIONS);
  await sleep(SETTLE_MS);
  const before = residentBytes(running.pid);
  const counted = await openConnections(port, connections);
  await sleep(SETTLE_MS);
  const after = residentBytes(running.pid);
  const stillOpen = counted.filter((socket) => !socket.readableEnded && !socket.destroyed).length;
  for (const socket of [...uncounted, ...counted]) socket.destroy();
  return { startMB: start / 1e6, connectionKB: (after - before) / stillOpen / 1000, stillOpen };
}

async function measureAfterLoad(running: Running, port: number, seconds: number): Promise<number> {
  const [shape] = parseShapes('1k@64');
  if (shape === undefined || seconds === 0) return Number.NaN;
  const result = await runWrk({ port, shape, seconds, host: HOST });
  if (result.requests === 0) throw new Error('Expected replies under load, got none');
  return residentBytes(running.pid) / 1e6;
}

/** Opens connections that have each had one request and its reply. */
async function openConnections(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => openConnection(port));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

function openConnection(port: number): Promise<Socket> {
  const { path, replyBytes } = CONTENTS['128b'];
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let reply = '';
    socket.on('error', reject);
    socket.on('close', () =>
      reject(new Error(`Expected a reply on each connection, got a close after ${JSON.stringify(reply)}`)),
    );
    socket.on('data', (bytes: Buffer) => {
      reply += bytes.toString('latin1');
      const headEnd = reply.indexOf('\r\n\r\n');
      if (headEnd < 0 || reply.length < headEnd + 4 + replyBytes) return;
      if (reply.startsWith('HTTP/1.1 200')) resolve(socket);
      else reject(new Error(`Expected status 200, got ${JSON.stringify(reply.slice(0, 200))}`));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  });
}

function report(rows: readonly Memory[], connections: number): string {
  const cells = rows.map((row) => {
    const ours = row.peer.startsWith('heddle');
    const twoWorkers = ours && !row.peer.includes('1worker');
    return [
      row.peer,
      row.startMB.toFixed(0),
      row.connectionKB.toFixed(1),
      ours ? verdict(row.connectionKB, GOALS.connectionKB) : '',
      String(row.stillOpen),
      row.afterLoadMB.toFixed(0),
      twoWorkers ? verdict(row.afterLoadMB, GOALS.twoWorkersMB) : '',
    ];
  });
  const header = [
    'peer',
    'RSS at start MB',
    'KB per idle connection',
    'goal',
    `open of ${connections}`,
    'RSS after load MB',
    'goal',
  ];
  return `\n${table([header, ...cells])}\n`;
}

function verdict(value: number, limit: number): string {
  return `<= ${limit} ${value <= limit ? 'reached' : 'missed'}`;
}

function readOptions(): Options | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { 'peers': text, 'connections': text, 'load-seconds': text, 'json': text, 'help': { type: 'boolean' } },
  });
  if (values.help === true) return undefined;
  const connections = Number(values.connections ?? '4000');
  const loadSeconds = Number(values['load-seconds'] ?? '6');
  if (!Number.isInteger(connections) || connections < 1)
    throw new Error(`--connections must be a whole number of at least 1, got ${JSON.stringify(values.connections)}`);
  if (!Number.isInteger(loadSeconds) || loadSeconds < 0)
    throw new Error(`--load-seconds must be a whole number, got ${JSON.stringify(values['load-seconds'])}`);
  return { peers: choose(PEERS, values.peers ?? DEFAULT_PEERS, 'Peer'), connections, loadSeconds, json: values.json };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
