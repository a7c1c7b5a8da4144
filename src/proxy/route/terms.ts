import {
  type BackoffPolicy,
  DEFAULT_RETRY,
  RETRY_CONDITIONS,
  type RetryWhen,
  type RetryWishes,
  type TimeoutWishes,
} from '../../model/resilience.ts';
import type { Limits, Timeouts } from '../../model/settings.ts';
import { METHOD } from '../http.ts';

/** What holds for a request: as its rule wishes, else its frontend, else the settings. Milliseconds. */
export interface Terms {
  /** Complete request to the reply head, all attempts together. */
  readonly requestMs: number;
  /** Of each attempt. Undefined: as the backend says. */
  readonly tryMs: number | undefined;
  /** Silence on a body; on that of a stream. */
  readonly idleMs: number;
  readonly streamIdleMs: number;
  readonly retry: RetryTerms;
}

export interface RetryTerms {
  readonly retries: number;
  /** Bits, by the places of `RETRY_CONDITIONS`. */
  readonly conditions: number;
  /** 1 for each status that is retried, by status; undefined: none is. */
  readonly statuses: Uint8Array | undefined;
  /** Bits, by `METHOD`: what may be repeated once a byte of it was sent. */
  readonly methods: number;
  readonly backoff: BackoffPolicy;
  readonly bodyMax: number;
  /** Somebody asked for retries: without another endpoint they go to the same one. */
  readonly asked: boolean;
  /** As it was put together, for those who ask. */
  readonly when: RetryWhen;
  readonly methodNames: NonNullable<RetryWishes['methods']>;
}

/** What somebody wishes of a request. */
export interface Wishes {
  readonly timeouts: TimeoutWishes;
  readonly retry: RetryWishes | undefined;
}

/** What stands behind all wishes. */
export type TermsSettings = { readonly timeouts: Timeouts; readonly limits: Limits };

/** @param wishes the more special ones first: what one leaves open the next one says, and in the end the settings. */
export function termsOf({ timeouts, limits }: TermsSettings, wishes: readonly Wishes[]): Terms {
  const first = <T>(wish: (one: Wishes) => T | undefined): T | undefined => {
    for (const one of wishes) {
      const value = wish(one);
      if (value !== undefined) return value;
    }
    return undefined;
  };
  const idleMs = first((one) => one.timeouts.idleMs) ?? timeouts.idleMs;
  const when = first((one) => one.retry?.on);
  const retries = first((one) => one.retry?.retries);
  const methodNames = first((one) => one.retry?.methods) ?? DEFAULT_RETRY.methods;
  return {
    requestMs: first((one) => one.timeouts.requestMs) ?? timeouts.requestMs,
    tryMs: first((one) => one.timeouts.tryMs),
    idleMs,
    // Who waits longer for any body waits as long for a stream.
    streamIdleMs: Math.max(idleMs, timeouts.streamIdleMs),
    retry: {
      retries: retries ?? DEFAULT_RETRY.retries,
      conditions: conditionBits(when ?? DEFAULT_RETRY.on),
      statuses: statusTable(when ?? DEFAULT_RETRY.on),
      methods: methodBits(methodNames),
      backoff: first((one) => one.retry?.backoff) ?? DEFAULT_RETRY.backoff,
      bodyMax: first((one) => one.retry?.bodyMax) ?? limits.retryBody,
      asked: retries !== undefined || when !== undefined,
      when: when ?? DEFAULT_RETRY.on,
      methodNames,
    },
  };
}

function conditionBits({ conditions }: RetryWhen): number {
  return conditions.reduce((bits, condition) => bits | (1 << RETRY_CONDITIONS.indexOf(condition)), 0);
}

function statusTable({ statuses }: RetryWhen): Uint8Array | undefined {
  if (statuses.length === 0) return undefined;
  const table = new Uint8Array(1000);
  for (const { from, to } of statuses) table.fill(1, from, to + 1);
  return table;
}

const ALL_METHODS = -1;
const METHOD_BITS: ReadonlyMap<string, number> = new Map(
  Object.entries(METHOD).map(([name, method]) => [name.toUpperCase(), 1 << method]),
);
/** One that has no number of its own: POST, PATCH and all others. */
const OTHER = 1 << METHOD.other;

/** POST and PATCH have no numbers of their own: who names one of them means all that have none. */
function methodBits(methods: RetryTerms['methodNames']): number {
  if (methods === 'all') return ALL_METHODS;
  return methods.reduce((bits, name) => bits | (METHOD_BITS.get(name) ?? OTHER), 0);
}
