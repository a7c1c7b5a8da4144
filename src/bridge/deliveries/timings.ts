/** Waits of deliveries, in milliseconds; tests have shorter ones. */
export interface Timings {
  /** Without a sign of life for so long the server delivers a message anew. */
  readonly ackWaitMs: number;
  /** One pull waits so long for messages. */
  readonly pullMs: number;
  /** Signs of life of a pull that waits. */
  readonly heartbeatMs: number;
  /** Consumers are looked at so often, and up to half as much later. */
  readonly infoMs: number;
  /** And at the oldest message that it has open, whose body comes along. */
  readonly oldestMs: number;
  /** After which is looked again at what streams bind: the subjects of mode auto, dead letters that none kept. */
  readonly resolveMs: number;
  /** A message whose Service cannot be reached is kept so long before it is given back. */
  readonly holdMs: number;
  /** No deliveries to an endpoint that said that it is gone. */
  readonly goneMs: number;
}

export const TIMINGS: Timings = {
  ackWaitMs: 30_000,
  pullMs: 30_000,
  heartbeatMs: 5000,
  infoMs: 5000,
  oldestMs: 15_000,
  resolveMs: 30_000,
  holdMs: 60_000,
  goneMs: 60_000,
};
