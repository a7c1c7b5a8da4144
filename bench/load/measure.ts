import { fetchChecked, HOST } from './fetch.ts';
import { cpuMicroseconds, residentBytes } from './process.ts';
import type { Shape } from './shapes.ts';
import { upstreamCounts } from './upstreams.ts';
import { runWrk, type WrkResult } from './wrk.ts';

/** Something that can be put under load: a proxy, or an upstream itself (`direct`, which has no process of interest). */
export interface Target {
  readonly name: string;
  readonly port: number;
  readonly pid: number | undefined;
}

/** The figures of one target in one round. */
export interface Round {
  /** CPU time of the whole process tree per request; NaN for `direct`. */
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
  /** Connect, read and write errors, timeouts, and replies with a status of 400 or more. */
  readonly errors: number;
  /** New connections to the upstreams per request: near 0 where a proxy keeps them, 1 where it does not. */
  readonly upstreamConnectionsPerRequest: number;
  /** What was wrong with the replies apart from errors; the figures of such a round are not to be trusted. */
  readonly doubts: readonly string[];
}

/** How far the head of a reply under load may differ in size from the one looked at: a connection line more or less. */
const HEAD_SLACK_BYTES = 64;

/** Loads one target once and reads its CPU clock before and after. */
export async function measureRound(
  target: Target,
  shape: Shape,
  options: { readonly seconds: number; readonly upstreams: readonly number[] },
): Promise<Round> {
  const headBytes = await fetchChecked(target.port, shape.content);
  const upstreamsBefore = await upstreamCounts(options.upstreams);
  const cpuBefore = target.pid === undefined ? Number.NaN : cpuMicroseconds(target.pid);
  const result = await runWrk({ port: target.port, shape, seconds: options.seconds, host: HOST });
  const cpuAfter = target.pid === undefined ? Number.NaN : cpuMicroseconds(target.pid);
  const memory = target.pid === undefined ? Number.NaN : residentBytes(target.pid);
  const upstreamsAfter = await upstreamCounts(options.upstreams);
  await fetchChecked(target.port, shape.content);

  // Each look at the counters is itself one connection and one request at each upstream.
  const connections = upstreamsAfter.connections - upstreamsBefore.connections - options.upstreams.length;
  const arrived = upstreamsAfter.requests - upstreamsBefore.requests - options.upstreams.length;
  return {
    cpuUs: (cpuAfter - cpuBefore) / result.requests,
    requestsPerSecond: (result.requests / result.durationUs) * 1e6,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    residentBytes: memory,
    errors: result.connectErrors + result.readErrors + result.writeErrors + result.timeouts + result.badStatus,
    upstreamConnectionsPerRequest: connections / result.requests,
    doubts: [...doubtBytes(result, shape, headBytes), ...doubtArrivals(result, arrived)],
  };
}

/** wrk reads bodies but cannot say how long they were; the sum of all bytes must fit the number of whole replies. */
function doubtBytes(result: WrkResult, shape: Shape, headBytes: number): string[] {
  const replyBytes = headBytes + shape.content.replyBytes;
  const least = result.requests * (replyBytes - HEAD_SLACK_BYTES);
  // Replies that the end of the run cut off are in the bytes, not in the requests: at most one for each connection.
  const most = (result.requests + shape.connections) * (replyBytes + HEAD_SLACK_BYTES);
  if (result.bytes >= least && result.bytes <= most) return [];
  return [`expected ${least} to ${most} bytes in ${result.requests} replies, got ${result.bytes}`];
}

/** A reply that no upstream has given would be a proxy's own. */
function doubtArrivals(result: WrkResult, arrived: number): string[] {
  return arrived >= result.requests
    ? []
    : [`expected at least ${result.requests} requests at the upstreams, got ${arrived}`];
}
