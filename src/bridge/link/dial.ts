import {
  AuthorizationError,
  type NodeConnectionOptions,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node';
import type { Settings } from '../../model/settings.ts';
import { type Admission, UnusableCredentials } from './admission.ts';

/** A dead peer is found after three of them. The default of the library is two minutes. */
const PING_INTERVAL_MS = 20_000;
const PINGS_OUT_MAX = 2;
/** From the first packet to the first PONG. */
const CONNECT_MS = 4000;
/** Together with the time to connect well under 2 s, and not all nodes at once. */
const AGAIN_MS_MIN = 250;
const AGAIN_MS_MAX = 750;

export interface LinkOptions {
  readonly settings: Settings;
  /** Index of the worker. */
  readonly worker: number;
  /** Milliseconds between two questions whether the server is still there. */
  readonly pingIntervalMs?: number;
}

/** Below which the link gets all its replies: permissions of the NATS user must allow it. */
export function inboxOf({ settings, worker }: LinkOptions): string {
  return `_INBOX_heddle.${settings.nodeName.replace(/[^\w-]/g, '-')}.${worker}`;
}

export function dialOptions(options: LinkOptions, admission: Admission): NodeConnectionOptions {
  const { settings, worker, pingIntervalMs = PING_INTERVAL_MS } = options;
  return {
    servers: [...settings.nats.urls],
    name: `heddle/${settings.nodeName}/w${worker}`,
    inboxPrefix: inboxOf(options),
    authenticator: admission.authenticator,
    ...(admission.tls !== undefined && { tls: admission.tls }),
    timeout: CONNECT_MS,
    pingInterval: pingIntervalMs,
    maxPingOut: PINGS_OUT_MAX,
    // By default the library gives up for good after ten attempts, or two refusals (bridge.md finding 5). The first connection is
    // tried again by us: the library would try again without a word of what went wrong, and without a way to stop it.
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: againMs,
    // A stack for each request.
    noAsyncTraces: true,
  };
}

/** How long to wait before the next attempt to connect. */
export function againMs(): number {
  return AGAIN_MS_MIN + Math.random() * (AGAIN_MS_MAX - AGAIN_MS_MIN);
}

/** The server, or what is in our files, does not let us in. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof AuthorizationError ||
    error instanceof UserAuthenticationExpiredError ||
    error instanceof UnusableCredentials
  );
}
