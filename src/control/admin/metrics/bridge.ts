import type { BridgeLinkView, CallView, DeliveryView } from '../../../model/admin.ts';
import { OTHER } from '../series.ts';
import { type Family, label } from './format.ts';

/** Subscriptions, and policies, with series of their own: the others share one. */
const NAMED_MAX = 500;

/** Without a broker there is nothing to tell, least of all that it is down. */
export const LINK_FAMILIES: readonly Family<BridgeLinkView>[] = [
  {
    name: 'heddle_bridge_link_up',
    type: 'gauge',
    help: 'Whether the link of a worker to the broker is up; absent where there is no broker',
    of: ({ state }) => (state === 'off' ? undefined : state === 'up' || state === 'lame-duck' ? 1 : 0),
  },
  {
    name: 'heddle_bridge_reconnects',
    type: 'counter',
    help: 'How often the link was made again',
    of: (link) => unlessOff(link, link.reconnects),
  },
  {
    name: 'heddle_bridge_bytes_in_flight',
    type: 'gauge',
    help: 'Given to the link and not yet taken by the broker',
    of: (link) => unlessOff(link, link.bytesInFlight),
  },
  {
    name: 'heddle_bridge_messages',
    type: 'counter',
    help: 'Messages to and from the broker',
    of: (link) =>
      link.state === 'off'
        ? undefined
        : [
            { labels: 'direction="out"', value: link.messagesOut },
            { labels: 'direction="in"', value: link.messagesIn },
          ],
  },
];

export const CALL_FAMILIES: readonly Family<CallView>[] = [
  {
    name: 'heddle_bridge_calls',
    type: 'counter',
    help: 'Calls of the bridge, by the policy that let them pass and by their result: ok, or the code of the problem',
    of: ({ count }) => count,
  },
  {
    name: 'heddle_bridge_call_messages',
    type: 'counter',
    help: 'Messages of these calls',
    of: ({ messages }) => messages,
  },
];

export const DELIVERY_FAMILIES: readonly Family<DeliveryView>[] = [
  {
    name: 'heddle_deliveries',
    type: 'counter',
    help: 'Deliveries by result: taken by the Service, failed, or given back without an attempt',
    of: ({ delivered, failed, returned }) => [
      { labels: 'result="delivered"', value: delivered },
      { labels: 'result="failed"', value: failed },
      { labels: 'result="returned"', value: returned },
    ],
  },
  {
    name: 'heddle_delivery_redelivered',
    type: 'counter',
    help: 'Deliveries that were not the first attempt',
    of: ({ redelivered }) => redelivered,
  },
  {
    name: 'heddle_delivery_dead_lettered',
    type: 'counter',
    help: 'Messages that ran out of attempts and were set aside',
    of: ({ deadLettered }) => deadLettered,
  },
  {
    name: 'heddle_delivery_in_flight',
    type: 'gauge',
    help: 'Deliveries under way on this node',
    of: ({ inFlight }) => inFlight,
  },
  {
    name: 'heddle_delivery_pending',
    type: 'gauge',
    help: 'Messages that wait for their first delivery, over all nodes: not to be added up',
    of: ({ pending }) => pending,
  },
  {
    name: 'heddle_delivery_unacknowledged',
    type: 'gauge',
    help: 'Messages that were delivered and are not acknowledged, over all nodes: not to be added up',
    of: ({ ackPending }) => ackPending,
  },
  {
    name: 'heddle_delivery_oldest_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Age of the oldest message that is not acknowledged, over all nodes; 0: none is',
    of: ({ oldestMs }) => oldestMs / 1000,
  },
];

export function callLabels({ policy, operation, result }: CallView): string {
  return [label('policy', policy), label('operation', operation), label('result', result)].join();
}

export function deliveryLabels({ subscription }: DeliveryView): string {
  return label('subscription', subscription);
}

/** Those of the first policies by name, and the others together. */
export function callSeries(calls: readonly CallView[]): readonly CallView[] {
  const named = new Set([...new Set(calls.map(({ policy }) => policy))].slice(0, NAMED_MAX));
  const series: CallView[] = [];
  const others = new Map<string, CallView>();
  for (const call of calls) {
    if (named.has(call.policy)) {
      series.push(call);
      continue;
    }
    const key = `${call.operation} ${call.result}`;
    const { count = 0, messages = 0 } = others.get(key) ?? {};
    others.set(key, { ...call, policy: OTHER, count: count + call.count, messages: messages + call.messages });
  }
  return [...series, ...others.values()];
}

/** The first subscriptions by name, and the others together. */
export function deliverySeries(deliveries: readonly DeliveryView[]): readonly DeliveryView[] {
  const [first, ...rest] = deliveries.slice(NAMED_MAX);
  if (first === undefined) return deliveries;
  return [...deliveries.slice(0, NAMED_MAX), rest.reduce(joined, { ...first, subscription: OTHER })];
}

function joined(sum: DeliveryView, one: DeliveryView): DeliveryView {
  return {
    ...sum,
    pending: sum.pending + one.pending,
    ackPending: sum.ackPending + one.ackPending,
    oldestMs: Math.max(sum.oldestMs, one.oldestMs),
    inFlight: sum.inFlight + one.inFlight,
    delivered: sum.delivered + one.delivered,
    redelivered: sum.redelivered + one.redelivered,
    failed: sum.failed + one.failed,
    deadLettered: sum.deadLettered + one.deadLettered,
    returned: sum.returned + one.returned,
  };
}

function unlessOff({ state }: BridgeLinkView, value: number): number | undefined {
  return state === 'off' ? undefined : value;
}
