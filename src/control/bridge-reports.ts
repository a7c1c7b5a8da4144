import type { BridgeAnswer, BridgeLinkView, CallView, DeliveryView } from '../model/admin.ts';
import type { BridgeReport, CallCount, DeliveryReport, LinkReport } from '../model/message.ts';
import { type Problem, problemOf, problemText } from '../model/problem.ts';

/** What grows while a worker runs. */
const DELIVERY_COUNTERS = ['delivered', 'redelivered', 'failed', 'deadLettered', 'returned'] as const;
const LINK_COUNTERS = ['reconnects', 'messagesOut', 'messagesIn'] as const;
type DeliveryCounters = Record<(typeof DELIVERY_COUNTERS)[number], number>;
type LinkCounters = Record<(typeof LINK_COUNTERS)[number], number>;

/** Subscriptions, and kinds of calls, of which is kept what dead workers counted. */
const KEPT_MAX = 10_000;
/** Of all workers; each tells of its own what is limited already. */
const PROBLEMS_MAX = 1000;

/** From what is most worth to know when nothing is delivered to what is least. */
const STATES = ['delivering', 'held', 'paused', 'failed', 'waiting', 'draining', 'standby'] as const;

interface Seat {
  /** The newest; undefined: none yet, or the worker died. */
  report: BridgeReport | undefined;
  /** What the workers before counted. */
  readonly past: LinkCounters;
}

/** How the bridge of a node is: the newest report of each worker, and what dead workers counted, so that no counter falls. */
export class BridgeReports {
  readonly #seats: readonly Seat[];
  readonly #pastDeliveries = new Map<string, DeliveryCounters>();
  readonly #pastCalls = new Map<string, CallCount>();

  constructor(workers: number) {
    this.#seats = Array.from({ length: workers }, () => ({
      report: undefined,
      past: { reconnects: 0, messagesOut: 0, messagesIn: 0 },
    }));
  }

  take(worker: number, report: BridgeReport): void {
    this.#seats[worker]!.report = report;
  }

  /** The worker is dead: what it counted stays. */
  lose(worker: number): void {
    const seat = this.#seats[worker]!;
    const { report, past } = seat;
    seat.report = undefined;
    if (report === undefined) return;
    for (const name of LINK_COUNTERS) past[name] += report.link[name];
    for (const delivery of report.deliveries) {
      const sum = addDelivery(this.#pastDeliveries.get(delivery.id), delivery);
      keep(this.#pastDeliveries, delivery.id, sum);
    }
    for (const call of report.calls) keep(this.#pastCalls, callKey(call), addCall(this.#pastCalls, call));
  }

  /** There is no such subscription any more. */
  forget(id: string): void {
    this.#pastDeliveries.delete(id);
  }

  /** Each thing once, however many workers say it. */
  get problems(): readonly Problem[] {
    const byText = new Map<string, Problem>();
    for (const { report } of this.#seats) {
      if (report === undefined) continue;
      for (const problem of [...linkProblems(report.link), ...report.problems]) {
        if (byText.size >= PROBLEMS_MAX) break;
        byText.set(problemText(problem), problem);
      }
    }
    return [...byText.values()];
  }

  get bridge(): BridgeAnswer {
    return {
      links: this.#seats.map(({ report, past }, worker) => linkView(worker, report?.link, past)),
      calls: this.calls,
    };
  }

  /** By policy, operation and result. */
  get calls(): readonly CallView[] {
    const sums = new Map(this.#pastCalls);
    for (const { report } of this.#seats)
      for (const call of report?.calls ?? []) sums.set(callKey(call), addCall(sums, call));
    return [...sums.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, call]) => call);
  }

  /** By subscription. */
  get deliveries(): readonly DeliveryView[] {
    const reports = new Map<string, { readonly worker: number; readonly report: DeliveryReport }[]>();
    for (const [worker, { report }] of this.#seats.entries()) {
      for (const one of report?.deliveries ?? []) {
        const own = reports.get(one.id);
        if (own === undefined) reports.set(one.id, [{ worker, report: one }]);
        else own.push({ worker, report: one });
      }
    }
    return [...reports.keys()].toSorted().map((id) => deliveryView(id, reports.get(id)!, this.#pastDeliveries.get(id)));
  }
}

/** A link that cannot be had now; one that is being made for the first time is none. */
function linkProblems({ state, error }: LinkReport): readonly Problem[] {
  if (state === 'off' || state === 'up' || state === 'lame-duck') return [];
  if (state === 'connecting' && error === '') return [];
  return [problemOf('--nats-url', { field: '', expected: 'a NATS server that takes us', got: error || 'none' })];
}

function linkView(worker: number, link: LinkReport | undefined, past: LinkCounters): BridgeLinkView {
  return {
    worker,
    state: link?.state ?? 'unknown',
    server: link?.server ?? null,
    error: link?.error ?? '',
    bytesInFlight: link?.bytesInFlight ?? 0,
    reconnects: past.reconnects + (link?.reconnects ?? 0),
    messagesOut: past.messagesOut + (link?.messagesOut ?? 0),
    messagesIn: past.messagesIn + (link?.messagesIn ?? 0),
  };
}

/** Of the consumer every worker says the same, or what it was a moment ago; everything else is its own. */
function deliveryView(
  subscription: string,
  own: readonly { readonly worker: number; readonly report: DeliveryReport }[],
  past: DeliveryCounters | undefined,
): DeliveryView {
  const reports = own.map(({ report }) => report);
  const leading = reports.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state))[0]!;
  const lastError = reports.toSorted((a, b) => b.lastErrorMs - a.lastErrorMs)[0]!;
  const known = reports.find(({ mode }) => mode !== 'unknown') ?? leading;
  const { mode, stream, consumer } = known;
  const greatest = (name: 'pending' | 'ackPending' | 'oldestMs'): number =>
    Math.max(...reports.map((one) => one[name]));
  const sums = reports.reduce<DeliveryCounters>(addDelivery, past ?? NOTHING);
  return {
    subscription,
    state: leading.state,
    reason: leading.reason,
    mode,
    stream,
    consumer,
    pending: greatest('pending'),
    ackPending: greatest('ackPending'),
    oldestMs: greatest('oldestMs'),
    inFlight: reports.reduce((sum, { inFlight }) => sum + inFlight, 0),
    ...sums,
    lastError: lastError.lastError,
    lastErrorTime: lastError.lastErrorMs === 0 ? null : new Date(lastError.lastErrorMs).toISOString(),
    workers: own.map(({ worker, report: { state, reason } }) => ({ worker, state, reason })),
  };
}

const NOTHING: DeliveryCounters = { delivered: 0, redelivered: 0, failed: 0, deadLettered: 0, returned: 0 };

function addDelivery(sum: DeliveryCounters = NOTHING, one: DeliveryCounters): DeliveryCounters {
  const added = { ...sum };
  for (const name of DELIVERY_COUNTERS) added[name] += one[name];
  return added;
}

function addCall(sums: ReadonlyMap<string, CallCount>, call: CallCount): CallCount {
  const before = sums.get(callKey(call));
  if (before === undefined) return call;
  return { ...call, count: before.count + call.count, messages: before.messages + call.messages };
}

function callKey({ policy, operation, result }: CallCount): string {
  return `${policy} ${operation} ${result}`;
}

/** The oldest give way: who changes names all the time must not fill the memory. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > KEPT_MAX) map.delete(map.keys().next().value!);
}
