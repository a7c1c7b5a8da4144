/** What the system asks of a node. */
export interface SignalEvents {
  /** SIGHUP */
  reread(): void;
  /** SIGTERM or SIGINT, the first of them. */
  drain(signal: NodeJS.Signals): void;
  /** Another one, while it drains. */
  endNow(signal: NodeJS.Signals): void;
}

/** A terminal sends Ctrl-C to the launcher and to us, and the launcher sends it on: that is one signal. */
const SAME_SIGNAL_MS = 300;

/** Listens to signals until the node has ended. */
export function onSignals(ended: Promise<void>, events: SignalEvents): void {
  let firstMs: number | undefined;
  const onEnd = (signal: NodeJS.Signals): void => {
    const nowMs = performance.now();
    if (firstMs === undefined) {
      firstMs = nowMs;
      events.drain(signal);
    } else if (nowMs - firstMs >= SAME_SIGNAL_MS) events.endNow(signal);
  };
  const onHangUp = (): void => {
    events.reread();
  };
  process.on('SIGTERM', onEnd).on('SIGINT', onEnd).on('SIGHUP', onHangUp);
  void ended.then(() => {
    process.off('SIGTERM', onEnd).off('SIGINT', onEnd).off('SIGHUP', onHangUp);
  });
}
