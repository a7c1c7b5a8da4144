import { Agent, type IncomingMessage, request, type RequestOptions } from 'node:http';
import type { LoadPlan, LoadReport } from '../load.ts';

// node load.ts PLAN: requests at a fixed rate, whether or not the ones before have been answered, until its time is over or its
// standard input ends. Standard output has a line when the first request is over, and at the end the report as JSON.

const UNDER_WAY_MAX = 512;
const FIRST_FAILURES = 50;
const TICK_MS = 10;

const plan = JSON.parse(process.argv[2]!) as LoadPlan;
const { ratePerSecond, secondsMax, keepAlive = true, connections = 16, timeoutMs = 10_000 } = plan;
const agent = new Agent({ keepAlive, maxSockets: keepAlive ? connections : Number.POSITIVE_INFINITY });
const options = target();

const statuses: Record<string, number> = {};
const failures: Record<string, number> = {};
const pods: Record<string, number> = {};
const nodes: Record<string, number> = {};
const versions: Record<string, number> = {};
const lastSentMs: Record<string, number> = {};
const firstFailures: { afterMs: number; what: string }[] = [];
const latencies: number[] = [];
let sent = 0;
let held = 0;
let underWay = 0;
let succeeded = 0;
let failed = 0;
let longestGapMs = 0;

const startMs = performance.now();
let lastSuccessMs = startMs;
let isOver = false;
let due = 0;

const ticking = setInterval(tick, TICK_MS);
setTimeout(finish, secondsMax * 1000);
process.stdin.on('end', finish).resume();

function tick(): void {
  const wanted = ((performance.now() - startMs) / 1000) * ratePerSecond;
  for (; due < wanted; due++) {
    if (underWay < UNDER_WAY_MAX) send(startMs + (due / ratePerSecond) * 1000);
    else held++;
  }
}

function send(dueMs: number): void {
  sent++;
  underWay++;
  const sentMs = Date.now();
  const asked = request({ ...options, signal: AbortSignal.timeout(timeoutMs) }, (reply) => {
    reply
      .resume()
      .on('error', fail)
      .on('end', () => settle(() => note(reply, dueMs, sentMs)));
  });
  asked.on('error', fail).end();
  let settled = false;

  function fail(error: NodeJS.ErrnoException): void {
    settle(() => noteFailure(error.code ?? error.name));
  }

  function settle(how: () => void): void {
    if (settled) return;
    settled = true;
    underWay--;
    how();
    if (succeeded + failed === 1) process.stdout.write('begun\n');
    if (isOver && underWay === 0) report();
  }
}

function note(reply: IncomingMessage, dueMs: number, sentMs: number): void {
  const status = reply.statusCode!;
  count(statuses, String(status));
  if (status < 200 || status > 299 || !reply.complete) {
    noteFailure(`${status} ${header(reply, 'x-heddle-failure')}`.trim());
    return;
  }
  const nowMs = performance.now();
  succeeded++;
  latencies.push(nowMs - dueMs);
  longestGapMs = Math.max(longestGapMs, nowMs - lastSuccessMs);
  lastSuccessMs = nowMs;
  count(pods, header(reply, 'x-pod'));
  count(nodes, header(reply, 'x-node'));
  const version = header(reply, 'x-version');
  count(versions, version);
  lastSentMs[version] = Math.max(lastSentMs[version] ?? 0, sentMs);
}

function noteFailure(what: string): void {
  failed++;
  count(failures, what);
  if (firstFailures.length < FIRST_FAILURES)
    firstFailures.push({ afterMs: Math.round(performance.now() - startMs), what });
}

function count(table: Record<string, number>, key: string): void {
  table[key] = (table[key] ?? 0) + 1;
}

function header(reply: IncomingMessage, name: string): string {
  return String(reply.headers[name] ?? '');
}

function target(): RequestOptions {
  const url = new URL(plan.url);
  const via = new URL(plan.proxy ?? plan.url);
  return {
    agent,
    method: plan.method ?? 'GET',
    host: via.hostname,
    port: via.port || 80,
    path: plan.proxy === undefined ? `${url.pathname}${url.search}` : plan.url,
    headers: { host: plan.host ?? url.host },
  };
}

function finish(): void {
  if (isOver) return;
  isOver = true;
  clearInterval(ticking);
  if (underWay === 0) report();
}

function report(): void {
  longestGapMs = Math.max(longestGapMs, performance.now() - lastSuccessMs);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0) * 10) / 10;
  const done: LoadReport = {
    sent,
    succeeded,
    failed,
    held,
    statuses,
    failures,
    firstFailures,
    pods,
    nodes,
    versions,
    lastSentMs,
    latencyMs: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
    longestGapMs: Math.round(longestGapMs),
  };
  process.stdout.write(`${JSON.stringify(done)}\n`, () => process.exit(0));
}
