import { isDeepStrictEqual } from 'node:util';
import { parsePercent } from '../../lib/percent.ts';
import { shown } from '../../lib/shown.ts';
import { FAULT_FORMS, parseFault } from '../../model/faults.ts';
import { type Fault, type FrontendPolicy, NO_POLICY } from '../../model/routing.ts';
import type { AnnotationReading, Read } from './annotation-reading.ts';
import { PERCENT } from './annotation-values.ts';
import { readRateLimit, readRetry, readTimeouts } from './terms-annotations.ts';

const ONE_IN = /^1\/([1-9]\d{0,8})$/;

/** What the owner of a Service wants of the requests to it, whoever routes them; undefined: nothing special. */
export function readPolicy(reading: AnnotationReading): FrontendPolicy | undefined {
  const policy: FrontendPolicy = {
    faults: reading.all('fault', `${FAULT_FORMS}, each with :PERCENT behind it, as abort=503:10%`, readFault) ?? [],
    faultOnHeader: reading.flag('fault-on-header'),
    explainOnHeader: reading.flag('explain-on-header'),
    accessLog: reading.one('access-log', 'off, errors, all, or 1/N such as 1/100', readAccessLog),
    traceSample: reading.value('trace-sample', PERCENT),
    timeouts: readTimeouts(reading),
    retry: readRetry(reading),
    rateLimit: readRateLimit(reading),
  };
  return isDeepStrictEqual(policy, NO_POLICY) ? undefined : policy;
}

/** `abort=503:10%` */
function readFault(item: string): Read<Fault> {
  const colon = item.lastIndexOf(':');
  const share = colon < 0 ? undefined : parsePercent(item.slice(colon + 1).trim());
  const fault = share === undefined ? undefined : parseFault(item.slice(0, colon).trim(), share);
  return fault === undefined ? { got: shown(item) } : { value: fault };
}

function readAccessLog(text: string): Read<'off' | 'errors' | number> {
  if (text === 'off' || text === 'errors') return { value: text };
  if (text === 'all') return { value: 1 };
  const [, count] = ONE_IN.exec(text) ?? [];
  return count === undefined ? { got: shown(text) } : { value: Number(count) };
}
