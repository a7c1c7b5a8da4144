import { parseDuration } from '../lib/duration.ts';
import { parseSize } from '../lib/size.ts';
import type { Fault } from './routing.ts';

/** What `parseFault` reads, for those whom it does not understand. */
export const FAULT_FORMS = 'abort=400..599, delay=0s..60s (one duration or two with .. between), or throttle=1KiB/s';

/** A request waits no longer, so that faults cannot keep more connections open than slow endpoints do. */
const DELAY_MS_MAX = 60_000;
const FORM = /^(abort|delay|throttle) ?= ?(\S+)$/;
const STATUS = /^[45]\d\d$/;
const RATE = /^(.+)\/s$/;

/** A fault as it is written, without its share; undefined: the text is none. */
export function parseFault(text: string, share: number): Fault | undefined {
  const [, type = '', value = ''] = FORM.exec(text) ?? [];
  switch (type) {
    case 'abort':
      return STATUS.test(value) ? { type, status: Number(value), share } : undefined;
    case 'delay': {
      const [least = '', most = least, ...more] = value.split('..');
      const leastMs = parseDuration(least);
      const mostMs = parseDuration(most);
      if (leastMs === undefined || mostMs === undefined || more.length > 0) return undefined;
      return leastMs <= mostMs && mostMs <= DELAY_MS_MAX ? { type, leastMs, mostMs, share } : undefined;
    }
    case 'throttle': {
      const bytesPerS = parseSize(RATE.exec(value)?.[1] ?? '') ?? 0;
      return bytesPerS > 0 ? { type, bytesPerS, share } : undefined;
    }
    default:
      return undefined;
  }
}
