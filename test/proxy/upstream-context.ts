import { SeededDice } from '../../src/lib/dice.ts';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';
import { HeadPool } from '../../src/proxy/http.ts';
import type { UpstreamContext } from '../../src/proxy/upstream.ts';
import { allocateShared, BUCKET_BYTES } from '../../src/shared.ts';
import { allocateMeters } from '../../src/telemetry.ts';
import { settingsOf } from '../harness/settings.ts';

/** What the endpoints of a worker share, in a test that sends nothing. */
export function upstreamContext(): UpstreamContext {
  const { limits, timeouts } = settingsOf();
  return {
    heads: new HeadPool(limits.headers),
    wheel: new TimerWheel(0),
    limits,
    timeouts,
    headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
    bodyLimits: { chunkExtension: 0, trailers: { head: 0, headers: 0, url: 0 } },
    meters: allocateMeters(1),
    shared: allocateShared(1, BUCKET_BYTES),
    dice: new SeededDice(1),
    worker: 0,
  };
}
