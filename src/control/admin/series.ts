import { type Backend, BRIDGE_BACKEND, endpointKey } from '../../model/snapshot.ts';
import { ROW_BRIDGE, ROW_NONE, ROW_OTHER } from '../../model/rows.ts';
import { type MeterReader } from '../../telemetry.ts';
import type { AdminSource } from './source.ts';

export type BackendTotals = ReturnType<MeterReader['backend']>;
export type EndpointTotals = ReturnType<MeterReader['endpoint']>;

/** Name of all those together for which no row of the meters was left. */
export const OTHER = '_other';

/** What counts for itself: one port of a Service, or what stands in for one. */
export interface BackendSeries {
  readonly namespace: string;
  readonly name: string;
  /** 0: of exchanges without a Service, and of the others. */
  readonly port: number;
  readonly row: number;
  /** Undefined: it is none, or several. */
  readonly backend: Backend | undefined;
}

/** The same for an endpoint. */
export interface EndpointSeries {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly endpoint: string;
  readonly row: number;
  readonly backend: Backend | undefined;
}

/** First the exchanges that found no Service, those with the bridge, then by namespace, name and port, last those that share a row. */
export function* backendSeries(source: AdminSource): Generator<BackendSeries> {
  let shared = false;
  yield { namespace: '', name: '', port: 0, row: ROW_NONE, backend: undefined };
  const { namespace: none, name: bridge, port: bridgePort } = BRIDGE_BACKEND;
  yield { namespace: none, name: bridge, port: bridgePort, row: ROW_BRIDGE, backend: undefined };
  for (const backend of inOrder(source.snapshot?.backends ?? [])) {
    const { id, namespace, name, port } = backend;
    const row = source.backendRow(id);
    if (row === ROW_OTHER) shared = true;
    else yield { namespace, name, port, row, backend };
  }
  if (shared) yield { namespace: '', name: OTHER, port: 0, row: ROW_OTHER, backend: undefined };
}

/** By namespace, name and port, last those that share a row. */
export function* endpointSeries(source: AdminSource): Generator<EndpointSeries> {
  let shared = false;
  for (const backend of inOrder(source.snapshot?.backends ?? [])) {
    const { id, namespace, name, port, endpoints } = backend;
    for (const one of endpoints) {
      const endpoint = endpointKey(one);
      const row = source.endpointRow(id, endpoint);
      if (row === ROW_OTHER) shared = true;
      else yield { namespace, name, port, endpoint, row, backend };
    }
  }
  if (shared) yield { namespace: '', name: OTHER, port: 0, endpoint: OTHER, row: ROW_OTHER, backend: undefined };
}

/** By namespace, name and port. */
export function inOrder(backends: readonly Backend[]): readonly Backend[] {
  return backends.toSorted((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name) || a.port - b.port);
}

/** By code units, the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
