/**
 * Rows of the memory that threads share (meters, shared cells): one for each backend and each endpoint, given out by the main thread
 * (control/rows.ts). There are only so many, and what comes beyond them has the row `other`, together with others.
 */
export const BACKEND_ROWS = 2048;
export const ENDPOINT_ROWS = 16_384;

/** Row of exchanges that never found a backend. */
export const ROW_NONE = 0;
/** Row that all share for which there is no row left. */
export const ROW_OTHER = 1;
/** Row of the bridge's API. */
export const ROW_BRIDGE = 2;
/** The first that is given out. */
export const ROW_FIRST = 3;
