import type {
  BridgeAnswer,
  DeliveryView,
  DiscoveryAnswer,
  EffectiveSetting,
  GenerationView,
  LogLevelAnswer,
  TapFilter,
  TraceProbeAnswer,
  WorkerStatus,
} from '../../model/admin.ts';
import type { ExplainQuestion, Explanation } from '../../model/explanation.ts';
import type { Problem } from '../../model/problem.ts';
import type { RouteStatus } from '../../model/routing.ts';
import type { BackendId, Snapshot } from '../../model/snapshot.ts';
import type { SharedReader } from '../../shared.ts';
import type { Exemplar, MeterReader } from '../../telemetry.ts';

/** The node, as the admin port and the probe port show it. Each property is read anew for each request. */
export interface AdminSource {
  readonly version: string;
  readonly nodeName: string;
  /** What must hold for the node to be ready; all ok: it is. */
  readonly checks: readonly Check[];
  /** In force; undefined before the first one. */
  readonly snapshot: Snapshot | undefined;
  /** Endpoints that are known and get nothing, with the reason. */
  unused(backend: BackendId): readonly { readonly address: string; readonly reason: string }[];
  readonly problems: readonly Problem[];
  /** Of Gateway API routes. By object. */
  readonly statuses: readonly RouteStatus[];
  /** No check: nothing that happens to the source of resources makes a node unready. */
  readonly discovery: DiscoveryAnswer;
  /** No check either: what happens to the broker is nothing that other nodes could do better. */
  readonly bridge: BridgeAnswer;
  /** By subscription. */
  readonly deliveries: readonly DeliveryView[];
  /** Row of the meters: ROW_OTHER where it has none of its own. */
  backendRow(backend: BackendId): number;
  /** @param key as `endpointKey` makes it. */
  endpointRow(backend: BackendId, key: string): number;
  readonly meters: MeterReader;
  /** What workers know and decide together. */
  readonly shared: SharedReader;
  /**
   * An exchange of that row that is traced, for a bucket of `heddle_request_duration_seconds`: bucket 0 ends at 0.5 ms, each
   * further one at twice the bound of the one before (a quarter of the index of telemetry/histogram.ts, rounded down).
   */
  exemplar?(row: number, bucket: number): Exemplar | undefined;
  readonly workers: readonly WorkerStatus[];
  /** Newest first. */
  readonly generations: readonly GenerationView[];
  readonly settings: readonly EffectiveSetting[];
  logLevel: LogLevelAnswer['level'];
  /** Lines of the program log that were dropped, lines of all logs that could not be written. */
  readonly logTotals: { readonly dropped: number; readonly failed: number };
  /** Spans; undefined where nothing is traced. */
  readonly traceTotals: { readonly exported: number; readonly dropped: number; readonly failed: number } | undefined;
  /**
   * Calls back for each matching exchange with one line of JSON (a `TapRecord`) until the returned function is called. Throws,
   * with a message for the user, when there are too many taps.
   */
  tap(filter: TapFilter, onRecord: (json: string) => void): () => void;
  /** Asks a worker. Settles within seconds; rejects, with a reason for the user, where none answers. */
  explain(question: ExplainQuestion): Promise<Explanation>;
  /** Settles within seconds. */
  probeTrace(): Promise<TraceProbeAnswer>;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Why it is not ok, for a person. */
  readonly text: string;
}

/** All checks hold. */
export function isReady({ checks }: AdminSource): boolean {
  return checks.every(({ ok }) => ok);
}
