import type { Msg } from '@nats-io/transport-node';
import type { Subscription } from '../../model/snapshot.ts';
import type { HeadPool } from '../../proxy/http.ts';
import type { ServeContext } from '../../proxy/serve.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Link } from '../link.ts';
import { messageRecord } from '../message-record.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { HeldBytes } from './held-bytes.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import type { RequestWriter } from './request.ts';
import type { Returned } from './returned.ts';
import type { Timings } from './timings.ts';

/** What all subscriptions of a worker share. */
export interface DeliveryParts {
  readonly link: Link;
  readonly api: JetStreamApi;
  readonly serve: ServeContext;
  readonly heads: HeadPool;
  readonly held: HeldBytes;
  readonly returned: Returned;
  readonly acknowledgements: Acknowledgements;
  readonly timings: Timings;
  /** Index of this worker, and how many share the work of the node. */
  readonly worker: number;
  readonly workers: number;
}

/** Since the worker began; what DeliveryReport says of them. */
export interface Counters {
  delivered: number;
  redelivered: number;
  failed: number;
  deadLettered: number;
  returned: number;
}

/** What a delivery needs to know of its subscription, and tells it. */
export interface DeliveryOwner {
  readonly subscription: Subscription;
  readonly writer: RequestWriter;
  readonly counters: Counters;
  /** Nothing is kept that has to wait: it goes back at once, so that others can have it. */
  readonly letsGo: boolean;
  /** Undefined: none, or none that could be used. */
  readonly deadLetter: string | undefined;
  /** Of the stream. */
  readonly replicas: number;
  fault(reason: string): void;
  /** A message is tried for ever, because there is no place for dead letters. */
  onEndless(): void;
  /** An endpoint said 410. */
  onGone(): void;
}

/** A message on its way to the Service; used again for the next one. */
export interface Delivery {
  take(message: Msg): void;
  /** Called now and then. */
  tick(nowMs: number): void;
  /** What waits goes back; what is under way goes on. */
  letGo(): void;
  /** At once, whatever is under way. */
  cut(): void;
}

/** What observers learn of a delivery; filled while it runs. */
export type DeliveryRecord = { -readonly [Key in keyof MessageRecord]: MessageRecord[Key] };

/** Of one attempt of which nothing is known yet. */
export function recordFor({ id, durable }: Subscription): DeliveryRecord {
  return { ...messageRecord('process', id, 1), result: '', consumer: durable, attempt: 1 };
}
