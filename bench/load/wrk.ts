import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Shape } from './shapes.ts';

/** What wrk counted in one run. */
export interface WrkResult {
  readonly requests: number;
  /** Heads and bodies of all replies, those cut off by the end of the run included. */
  readonly bytes: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly connectErrors: number;
  readonly readErrors: number;
  readonly writeErrors: number;
  readonly timeouts: number;
  /** Replies with a status of 400 or more. */
  readonly badStatus: number;
}

const SCRIPT = join(import.meta.dirname, 'wrk.lua');

/** Loads a port with a shape for so many seconds: closed loop, one thread. */
export function runWrk(load: {
  readonly port: number;
  readonly shape: Shape;
  readonly seconds: number;
  readonly host: string;
}): Promise<WrkResult> {
  const { port, shape, seconds, host } = load;
  const { path, method, requestBytes } = shape.content;
  const args = ['-t1', `-c${shape.connections}`, `-d${seconds}s`, '-s', SCRIPT, `http://127.0.0.1:${port}${path}`];
  const script = ['--', method, String(requestBytes), host, shape.keepAlive ? 'keep-alive' : 'close'];
  return new Promise((resolve, reject) => {
    const options = { timeout: (seconds + 20) * 1000 };
    const child = execFile('wrk', [...args, ...script], options, (error, printed) => {
      process.off('exit', stop);
      const result = /^RESULT (.*)$/m.exec(printed)?.[1];
      if (result === undefined) {
        reject(
          new Error(`Expected a result line from wrk, got ${JSON.stringify(printed.slice(0, 300))}`, { cause: error }),
        );
      } else {
        resolve(JSON.parse(result) as WrkResult);
      }
    });
    // An interrupted run must not leave its load behind.
    const stop = (): boolean => child.kill();
    process.on('exit', stop);
  });
}
