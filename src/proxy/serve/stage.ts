/** How far an exchange has come. */
export const STAGE = {
  idle: 0,
  /** Waits for a connection to an endpoint. */
  connecting: 1,
  /** The request goes out. */
  sending: 2,
  /** The reply comes in. */
  relaying: 3,
  /** Answered by ourselves, or given up. */
  done: 4,
} as const;
