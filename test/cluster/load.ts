import type { IncomingHttpHeaders } from 'node:http';

/** Whom a pod asks. */
interface Target {
  readonly url: string;
  /** In place of the one of the URL. */
  readonly host?: string;
  /** `http://172.20.0.1:4140`: asked with the absolute form, as with HTTP_PROXY. */
  readonly proxy?: string;
  readonly method?: string;
}

/** One request; see programs/call.ts. */
export interface Call extends Target {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface CallReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Many requests; see programs/load.ts. */
export interface LoadPlan extends Target {
  readonly ratePerSecond: number;
  /** It ends by itself then. */
  readonly secondsMax: number;
  readonly connections?: number;
  /** Default true; false: a connection for each request. */
  readonly keepAlive?: boolean;
  readonly timeoutMs?: number;
}

export interface LoadReport {
  readonly sent: number;
  /** With a 2xx and a complete body. */
  readonly succeeded: number;
  readonly failed: number;
  /** Not sent, because too many were under way. */
  readonly held: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** `503 no-endpoint`, `ECONNREFUSED`: how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** The first of them: when after the start, and what. */
  readonly firstFailures: readonly { readonly afterMs: number; readonly what: string }[];
  /** Who answered (x-pod): how often. */
  readonly pods: Readonly<Record<string, number>>;
  readonly nodes: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  /** By version: when the last request that it answered was sent, as Date.now() has it. */
  readonly lastSentMs: Readonly<Record<string, number>>;
  /** From the moment at which a request was due. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** Longest time without a success. */
  readonly longestGapMs: number;
}
