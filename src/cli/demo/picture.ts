import type { EndpointsAnswer, EndpointView, ProblemsAnswer, ServicesAnswer, StatsAnswer } from '../../model/admin.ts';
import { type BackendRates, byService, ratesBetween } from '../rates.ts';
import { COPIES } from './shop.ts';

/** What the admin side of the node says at one time. */
export interface Look {
  readonly services: ServicesAnswer;
  readonly endpoints: EndpointsAnswer;
  readonly problems: ProblemsAnswer;
  readonly stats: StatsAnswer;
}

/** What the demo shows, whether as a table or as lines. */
export interface Picture {
  /** The ones in the mesh. */
  readonly services: readonly ServiceRow[];
  /** `shop/stock` */
  readonly outside: readonly string[];
  readonly copies: readonly CopyRow[];
  /** One line each; files are named as seen from the folder. */
  readonly problems: readonly string[];
  /** Since the start. */
  readonly totals: Totals;
}

export interface ServiceRow {
  /** `shop/orders` */
  readonly name: string;
  readonly rates: BackendRates | undefined;
  /** Since the start. */
  readonly retries: number;
  readonly endpointsUsed: number;
  readonly endpointsKnown: number;
}

/** One endpoint, whether the demo's own or one that the visitor named. */
export interface CopyRow {
  readonly address: string;
  readonly label: string;
  /** Since the start; so are `failures`. */
  readonly attempts: number;
  readonly failures: number;
  /** 0: not known yet. */
  readonly latencyMs: number;
  /** `used`, or why it gets nothing. */
  readonly state: string;
}

export interface Totals {
  readonly requests: number;
  readonly failed: number;
  readonly retries: number;
}

export interface Surroundings {
  /** Where the manifests are. */
  readonly folder: string;
  /** Ports of the copies, in the order of `COPIES`. */
  readonly ports: readonly number[];
}

/** @param before an earlier look: rates are those of the time between. */
export function pictureOf(now: Look, before: StatsAnswer | undefined, { folder, ports }: Surroundings): Picture {
  const stats = byService(now.stats).backends;
  const rates = before === undefined ? [] : ratesBetween(byService(before), byService(now.stats));
  const { services } = now.services;
  return {
    services: services
      .filter(({ enabled }) => enabled)
      .map((service) => ({
        name: fullName(service),
        rates: find(rates, service),
        retries: find(stats, service)?.retries ?? 0,
        endpointsUsed: service.endpointsUsed,
        endpointsKnown: service.endpointsKnown,
      })),
    outside: services.filter(({ enabled }) => !enabled).map(fullName),
    copies: copyRows(now, ports),
    problems: now.problems.problems.map(({ text }) => text.replaceAll(`${folder}/`, '')),
    totals: {
      requests: sum(stats, ({ requests }) => requests),
      failed: sum(stats, ({ failed }) => failed),
      retries: sum(stats, ({ retries }) => retries),
    },
  };
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

function find<T extends Named>(rows: readonly T[], { namespace, name }: Named): T | undefined {
  return rows.find((row) => row.namespace === namespace && row.name === name);
}

function fullName({ namespace, name }: Named): string {
  return `${namespace}/${name}`;
}

function sum<T>(rows: readonly T[], value: (row: T) => number): number {
  return rows.reduce((total, row) => total + value(row), 0);
}

/** The demo's own copies, always in the same place, whether they are endpoints or not; then what the visitor has named. */
function copyRows({ endpoints: { endpoints }, services }: Look, ports: readonly number[]): readonly CopyRow[] {
  const known = new Map(endpoints.map((endpoint) => [endpoint.address, endpoint]));
  const own = COPIES.map(({ service: name, label }, index): CopyRow => {
    const address = `127.0.0.1:${ports[index]}`;
    const endpoint = known.get(address);
    known.delete(address);
    if (endpoint !== undefined) return copyRow(label, endpoint);
    const enabled = find(services.services, { namespace: 'shop', name })?.enabled ?? false;
    const state = enabled ? 'in no manifest' : 'not in the mesh';
    return { address, label, attempts: 0, failures: 0, latencyMs: 0, state };
  });
  return [...own, ...[...known.values()].map((endpoint) => copyRow(fullName(endpoint), endpoint))];
}

function copyRow(label: string, { address, attempts, failures, latencyMs, state, reason }: EndpointView): CopyRow {
  return { address, label, attempts, failures, latencyMs, state: state === 'used' ? 'used' : reason };
}
