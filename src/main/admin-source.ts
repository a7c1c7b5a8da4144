import type { AdminSource, Check } from '../control/admin.ts';
import type { BridgeReports } from '../control/bridge-reports.ts';
import type { Changes } from '../control/changes.ts';
import type { Discovery } from '../control/discovery.ts';
import type { Exporter } from '../control/exporter.ts';
import type { TapHub } from '../control/tap-hub.ts';
import type { Workers } from '../control/workers.ts';
import type { DiscoveryAnswer, EffectiveSetting, LogLevelAnswer } from '../model/admin.ts';
import type { Settings } from '../model/settings.ts';
import type { SharedReader } from '../shared.ts';
import { type Log, type MeterReader, WORKER, type Writer } from '../telemetry.ts';
import type { TraceProbe } from './trace-probe.ts';

export type Stage = 'starting' | 'serving' | 'draining' | 'over';

/** The parts of a node that its admin side shows. */
export interface NodeParts {
  readonly version: string;
  readonly settings: Settings;
  readonly effective: readonly EffectiveSetting[];
  readonly log: Log;
  readonly writer: Writer;
  readonly workers: Workers;
  readonly changes: Changes;
  /** Undefined before it is at work. */
  readonly discovery: () => Discovery | undefined;
  readonly taps: TapHub;
  readonly exporter: Exporter | undefined;
  readonly traceProbe: TraceProbe;
  readonly meters: MeterReader;
  readonly shared: SharedReader;
  readonly bridge: BridgeReports;
  readonly stage: () => Stage;
}

/** A node as its admin side sees it. */
export function adminSource(parts: NodeParts): AdminSource {
  const { version, settings, effective, log, writer, workers, changes, taps, exporter, traceProbe } = parts;
  const { meters, shared, bridge } = parts;
  return {
    version,
    nodeName: settings.nodeName,
    settings: effective,
    meters,
    shared,
    get checks() {
      return checksOf(parts);
    },
    get snapshot() {
      return changes.snapshot;
    },
    get problems() {
      return changes.problems;
    },
    get statuses() {
      return changes.statuses;
    },
    get discovery() {
      return discoveryOf(parts);
    },
    get bridge() {
      return bridge.bridge;
    },
    get deliveries() {
      return bridge.deliveries;
    },
    get generations() {
      return changes.generations;
    },
    get workers() {
      return workers.statuses;
    },
    get logLevel() {
      return log.level as LogLevelAnswer['level'];
    },
    set logLevel(level) {
      log.level = level;
    },
    get logTotals() {
      return writer.totals;
    },
    get traceTotals() {
      if (exporter === undefined) return undefined;
      const { exported, dropped, failed } = exporter.totals;
      return { exported, dropped: dropped + meters.workers(WORKER.spansDropped), failed };
    },
    unused: (id) => changes.unused(id),
    backendRow: (id) => changes.backendRow(id),
    endpointRow: (id, key) => changes.endpointRow(id, key),
    exemplar: (row, bucket) => meters.exemplar(row, bucket),
    tap: (filter, onRecord) => taps.add(filter, onRecord),
    explain: (question) => workers.explain(question),
    probeTrace: () => traceProbe.run(),
  };
}

function discoveryOf({ settings, discovery }: NodeParts): DiscoveryAnswer {
  const { from } = settings.discovery;
  return discovery()?.status ?? { from, sources: [], fresh: false, snapshotTime: null, kinds: [] };
}

/** Unready only before the first plan, without a worker, and while it drains: nothing that others do makes a node unready. */
function checksOf({ stage, workers, changes }: NodeParts): readonly Check[] {
  const now = stage();
  const generation = changes.snapshot?.generation;
  const { statuses } = workers;
  const ready = statuses.filter(({ state }) => state === 'ready').length;
  return [
    {
      name: 'configuration',
      ok: generation !== undefined,
      text: generation === undefined ? 'nothing was read yet' : `generation ${generation}`,
    },
    { name: 'workers', ok: workers.ready, text: `${ready} of ${statuses.length} have a plan` },
    { name: 'listener', ok: now !== 'starting', text: now === 'starting' ? 'not open yet' : 'open' },
    {
      name: 'not draining',
      ok: now !== 'draining' && now !== 'over',
      text: now === 'draining' || now === 'over' ? 'draining' : 'serving',
    },
  ];
}
