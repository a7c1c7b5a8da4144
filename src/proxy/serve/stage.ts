/** How far an exchange has come. */
export const STAGE = {
  idle: 0,
  /** Nothing happens for a while: somebody asked for that fault. */
  delayed: 1,
  /** Waits for a place at its backend, for a connection to an endpoint, or for the time of another attempt. */
  waiting: 2,
  /** The request goes out. */
  sending: 3,
  /** The reply comes in. */
  relaying: 4,
  /** Answered by ourselves, or given up. */
  done: 5,
} as const;
