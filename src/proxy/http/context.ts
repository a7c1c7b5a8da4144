import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { Limits, Timeouts } from '../../model/settings.ts';
import type { BodyLimits } from './body.ts';
import type { HeadPool } from './head.ts';
import type { HeadLimits } from './parse.ts';

/** What all HTTP connections of a worker share, on both sides. */
export interface HttpContext {
  readonly heads: HeadPool;
  readonly wheel: TimerWheel;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly headLimits: HeadLimits;
  readonly bodyLimits: BodyLimits;
}
