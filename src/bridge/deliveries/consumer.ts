import { hash } from 'node:crypto';
import { NANOSECONDS_PER_MS } from '../../lib/duration.ts';
import type { Subscription } from '../../model/snapshot.ts';
import { ApiRefusal, type ConsumerConfig, type ConsumerInfo, type JetStreamApi } from './jetstream-api.ts';
import { Unmet } from './source.ts';

/** Then the server deletes a consumer that nobody has used; a node never does (bridge.md 00.7). */
const INACTIVE_MS = 72 * 3_600_000;
const PENDING_MIN = 1000;
const PENDING_MAX = 65_536;
/** Endpoints that are kept busy, over all nodes. */
const ENDPOINTS = 64;
const OURS = /^Heddle: .* \[([\w-]{8})\]$/;

/** How the consumer of a subscription is made; the same on every node. Redelivery is counted by us: the server's way loses messages. */
export function consumerConfig(subscription: Subscription, ackWaitMs: number): ConsumerConfig {
  const { id, durable, subjects, from, concurrency } = subscription;
  const config: ConsumerConfig = {
    durable_name: durable,
    deliver_policy: from,
    ack_policy: 'explicit',
    ack_wait: ackWaitMs * NANOSECONDS_PER_MS,
    max_deliver: -1,
    max_ack_pending: Math.min(Math.max(PENDING_MIN, concurrency * ENDPOINTS), PENDING_MAX),
    inactive_threshold: INACTIVE_MS * NANOSECONDS_PER_MS,
    replay_policy: 'instant',
    // Servers before 2.10 know only one.
    ...(subjects.length === 1 ? { filter_subject: subjects[0]! } : { filter_subjects: subjects }),
  };
  const mark = hash('sha256', JSON.stringify(config), 'base64url').slice(0, 8);
  return { ...config, description: `Heddle: ${id} [${mark}]` };
}

/** Makes the consumer, or changes what was made for an older form of the subscription. What others changed is left as it is. */
export async function ensureConsumer(api: JetStreamApi, stream: string, config: ConsumerConfig): Promise<ConsumerInfo> {
  const name = config.durable_name!;
  let info: ConsumerInfo;
  try {
    info = await api.consumer(stream, name);
  } catch (error) {
    // Without the stream neither is this possible, and says so.
    if (error instanceof ApiRefusal && error.notFound) return api.putConsumer(stream, name, config);
    throw error;
  }
  const mark = OURS.exec(info.config.description ?? '')?.[1];
  if (mark === undefined) throw new Unmet('a consumer that Heddle made', `${stream}/${name} of somebody else`);
  if (info.config.description === config.description) return info;
  // Where it begins was decided when it was made, and who paused it did not mean the form of the subscription.
  const { deliver_policy: begins = 'all', pause_until: until } = info.config;
  const paused = until === undefined ? {} : { pause_until: until };
  return api.putConsumer(stream, name, { ...config, ...paused, deliver_policy: begins });
}

/** In which fields somebody has changed the consumer; empty: in none. */
export function changedFields(config: ConsumerConfig, info: ConsumerInfo): readonly string[] {
  const names = [
    'ack_policy',
    'ack_wait',
    'max_deliver',
    'max_ack_pending',
    'filter_subject',
    'filter_subjects',
  ] as const;
  return names.filter((name) => JSON.stringify(config[name] ?? null) !== JSON.stringify(info.config[name] ?? null));
}
