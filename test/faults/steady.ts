import { exchange, sleep } from '../harness/client.ts';

/** What an ordinary client saw while something bad went on beside it. */
export interface Steady {
  readonly failed: number;
  /** What the first failure was. */
  readonly firstFailure: string;
  readonly latencies: readonly number[];
}

/** Sends a request every 20 ms, each on a connection of its own, until `over` resolves. */
export async function steadyClient(port: number, host: string, over: Promise<unknown>): Promise<Steady> {
  const ended = new AbortController();
  void over.then(() => {
    ended.abort();
  });
  const latencies: number[] = [];
  let failed = 0;
  let firstFailure = '';
  while (!ended.signal.aborted) {
    const startMs = performance.now();
    const reply = await exchange(port, `GET /steady HTTP/1.1\r\nHost: ${host}\r\n\r\n`).catch((error: unknown) =>
      String(error),
    );
    if (typeof reply !== 'string' && reply.status === 200 && reply.complete)
      latencies.push(performance.now() - startMs);
    else if (failed++ === 0) firstFailure = typeof reply === 'string' ? reply : `${reply.line} ${reply.body}`;
    await sleep(20);
  }
  return { failed, firstFailure, latencies };
}
