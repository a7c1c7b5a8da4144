/**
 * Does something in the next turn of the event loop, after the timers and sockets that have come meanwhile. One `setImmediate`
 * is not enough: it still belongs to the turn of a socket or a message that asks for it (libuv: poll, then check).
 */
export function nextTurn(work: () => void): void {
  setImmediate(() => setImmediate(work));
}
