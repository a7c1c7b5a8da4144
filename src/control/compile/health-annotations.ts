import { formatDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { DEFAULT_OUTLIER, type HealthCheck, type OutlierPolicy, type StatusRange } from '../../model/resilience.ts';
import type { AnnotationReading, Read } from './annotation-reading.ts';
import { count, duration, type Form, type Parts, PERCENT, readParts, statuses } from './annotation-values.ts';
import { pathRefusal } from './path-rules.ts';

const OUTLIER_FORM =
  'on, off, or a list of consecutive=N, success-rate<PERCENT, window=DURATION, base=DURATION, max=DURATION, max-eject=PERCENT';
const OUTLIER: Parts<OutlierPolicy> = {
  consecutive: { word: 'consecutive=', ...count([0, 1000]) },
  successShare: { word: 'success-rate<', ...PERCENT },
  windowMs: { word: 'window=', ...duration([1000, 600_000]) },
  baseMs: { word: 'base=', ...duration([100, 3_600_000]) },
  maxMs: { word: 'max=', ...duration([100, 86_400_000]) },
  maxShare: { word: 'max-eject=', ...PERCENT },
};

interface CheckParts {
  readonly tcp: boolean;
  readonly path: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly fails: number;
  readonly passes: number;
  readonly expect: readonly StatusRange[];
}

const CHECK_FORM =
  'off, or path /PATH or tcp, and of these, by comma: every DURATION, timeout DURATION, fails N, passes N, and with a path expect STATUSES';
/** Informational ones are never the last. */
const GOOD = statuses([200, 599]);
const IN_A_ROW = count([1, 100]);
const CHECK: Parts<CheckParts> = {
  tcp: { word: 'tcp', expected: 'nothing', parse: (text) => (text === '' ? true : undefined) },
  path: {
    word: 'path ',
    expected: 'a path that begins with /, without spaces, //, dot segments, %2F and #,',
    parse: checkedPath,
  },
  everyMs: { word: 'every ', ...duration([100, 3_600_000]) },
  timeoutMs: { word: 'timeout ', ...duration([10, 60_000]) },
  fails: { word: 'fails ', ...IN_A_ROW },
  passes: { word: 'passes ', ...IN_A_ROW },
  expect: { word: 'expect ', ...listOf(GOOD) },
};
const CHECK_DEFAULTS = { everyMs: 5000, timeoutMs: 1000, fails: 3, passes: 1, expect: [{ from: 200, to: 299 }] };

/** Codes are a list too, of which each behind the first looks like a part of its own: `expect 2xx, 304`. */
const MORE_STATUSES = /,\s*(?=[1-5](?:xx|\d\d))/g;
const QUERY = /^[-\w.~!$&'()*+,;=:@/?%]{0,1024}$/;

/** When endpoints are taken out for a while; undefined: never. */
export function readOutlier(reading: AnnotationReading): OutlierPolicy | undefined {
  return reading.one('outlier', OUTLIER_FORM, (text): Read<OutlierPolicy | undefined> => {
    if (text === 'off') return { value: undefined };
    if (text === 'on') return { value: DEFAULT_OUTLIER };
    const parts = readParts(text, OUTLIER);
    if (!('value' in parts)) return parts;
    const outlier = { ...DEFAULT_OUTLIER, ...parts.value };
    if (outlier.maxMs < outlier.baseMs) {
      const bounds = `base ${formatDuration(outlier.baseMs)}, max ${formatDuration(outlier.maxMs)}`;
      return { expected: 'a max of no less than base (what is left out has its default)', got: bounds };
    }
    if (outlier.consecutive === 0 && outlier.successShare === 0)
      return {
        expected: 'a consecutive of 1 or more, or a success-rate (nothing is ejected without)',
        got: shown(text),
      };
    return { value: outlier };
  });
}

/** What asks each endpoint by itself; undefined: nothing does. */
export function readHealthCheck(reading: AnnotationReading): HealthCheck | undefined {
  return reading.one('health-check', CHECK_FORM, (text): Read<HealthCheck | undefined> => {
    if (text === 'off') return { value: undefined };
    const parts = readParts(text.replaceAll(MORE_STATUSES, ' '), CHECK);
    if (!('value' in parts)) return parts;
    const { tcp, path, expect = CHECK_DEFAULTS.expect, everyMs = CHECK_DEFAULTS.everyMs } = parts.value;
    const isTcp = tcp === true;
    if (isTcp === (path !== undefined) || (isTcp && parts.value.expect !== undefined)) return { got: shown(text) };
    const timeoutMs = parts.value.timeoutMs ?? Math.min(CHECK_DEFAULTS.timeoutMs, everyMs);
    if (timeoutMs > everyMs) return { expected: 'a timeout of no more than every', got: shown(text) };
    const { fails = CHECK_DEFAULTS.fails, passes = CHECK_DEFAULTS.passes } = parts.value;
    const timing = { everyMs, timeoutMs, fails, passes };
    return { value: path === undefined ? { ...timing, by: 'tcp' } : { ...timing, by: 'http', path, expect } };
  });
}

function checkedPath(text: string): string | undefined {
  const [path = '', ...query] = text.split('?');
  return pathRefusal(path) === undefined && QUERY.test(query.join('?')) ? text : undefined;
}

function listOf<T>({ expected, parse }: Form<T>): Form<readonly T[]> {
  return {
    expected: `${expected}, or several by comma`,
    parse: (text) => {
      const items = text.split(' ').map((item) => parse(item));
      return items.every((item) => item !== undefined) ? items : undefined;
    },
  };
}
