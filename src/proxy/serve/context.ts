import type { ExchangeObserver, BackendMeter } from '../../telemetry.ts';
import type { LiveBackend } from '../balance.ts';
import type { Circumstances, Plan } from '../decide.ts';
import type { Edits, HttpContext } from '../http.ts';
import type { RateLimits } from '../filter.ts';
import type { Terms } from '../route.ts';
import type { MessageCarriers } from '../upstream.ts';
import type { Pressure } from './pressure.ts';
import type { Mirrors } from './mirrors.ts';

/** What all exchanges of a worker share. */
export interface ServeContext extends HttpContext {
  /** Swapped by publication. */
  readonly plan: Plan;
  /** Scratch: used within one call only. */
  readonly edits: Edits;
  readonly chance: Circumstances;
  /** Where neither a rule nor a frontend says otherwise. */
  readonly terms: Terms;
  readonly pressure: Pressure;
  readonly rateLimits: RateLimits;
  readonly mirrors: Mirrors;
  /** Reads what is known of each exchange, when it has ended. */
  readonly observer: ExchangeObserver;
  /** Of exchanges that found no backend. */
  readonly unrouted: BackendMeter;
  readonly traceSample: number;
  readonly messages: MessageCarriers;
  /** Of the bridge's API, which no plan names. */
  readonly bridge: LiveBackend;
}
