/** In the order of a connection's life: some are compared. */
export const PHASE = {
  /** Nothing has come yet. */
  fresh: 0,
  /** Between two requests. */
  idle: 1,
  head: 2,
  /** A request with a body that is still coming. */
  body: 3,
  /** The request is complete, its reply is not. */
  reply: 4,
  /** Switched protocols, or CONNECT: bytes without meaning to us. */
  tunnel: 5,
  /** The reply is out before the request was complete: the rest of its body is thrown away. */
  discarding: 6,
  /** All is said; what still comes is thrown away until the client has read it (RFC 9112 section 9.6). */
  lingering: 7,
  closed: 8,
} as const;

/** How long a client may take to read what was said last. */
export const LINGER_MS = 2000;
/** How long a connection that just came may take to its first byte, once no more are wanted. */
export const FRESH_MS = 250;
/** Of an answered request's body: a client that still sends more does not listen. */
export const DISCARDED_BYTES_MAX = 1024 * 1024;
/** Fits the first window of any client (RFC 6928 section 2). */
export const SURE_BYTES = 8 * 1024;
/**
 * A FIN behind a complete request is nearly always a client that is gone, seldom one that only closed its sending side. A
 * reply that comes at once serves the second, and the first costs its upstream no more than this: 50 ms, with the grain of timers.
 */
export const GONE_AFTER_MS = 25;
/** The same once the reply has begun: as long as it flows, a client that is gone is found by what it refuses. */
export const GONE_STALLED_MS = 1000;
