import { runTimer } from '../proxy/http.ts';

/**
 * Calls what somebody else gave us, as an event on a wire: what it writes leaves at its end, and a defect in it costs this call and
 * nothing else. (The client library stops to read from the server for ever when a callback throws.)
 */
export function callOut(call: () => void): void {
  runTimer({ onTimer: call }, 0);
}

/**
 * The same at the end of this turn of the event loop: with the end of an answer begins the next request of its connection, which
 * must not be under the hands of whoever answers.
 */
export function soon(call: () => void): void {
  queueMicrotask(() => {
    callOut(call);
  });
}
