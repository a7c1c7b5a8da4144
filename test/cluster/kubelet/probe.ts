import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { ContainerSpec, ProbeSpec } from '../objects.ts';
import type { Container } from './container.ts';

const DEFAULTS = {
  initialDelaySeconds: 0,
  periodSeconds: 10,
  timeoutSeconds: 1,
  failureThreshold: 3,
  successThreshold: 1,
};

export interface ProbeOptions {
  readonly probe: ProbeSpec;
  readonly container: Container;
  readonly spec: ContainerSpec;
  readonly podIp: string;
  /** Ends the probing. */
  readonly signal: AbortSignal;
  /** After as many equal results in a row as the thresholds say, and then with each one more. */
  readonly onVerdict: (healthy: boolean) => void;
}

/** Probes a container again and again, until the signal. Never rejects. */
export async function keepProbing(options: ProbeOptions): Promise<void> {
  const { probe, signal, onVerdict } = options;
  const { initialDelaySeconds, periodSeconds, failureThreshold, successThreshold } = { ...DEFAULTS, ...probe };
  let inRow = 0;
  let last: boolean | undefined;
  await pause(initialDelaySeconds * 1000, signal);
  while (!signal.aborted) {
    // One probe after the other is the point.
    const healthy = await probeOnce(options).catch(() => false);
    inRow = healthy === last ? inRow + 1 : 1;
    last = healthy;
    if (!signal.aborted && inRow >= (healthy ? successThreshold : failureThreshold)) onVerdict(healthy);
    await pause(periodSeconds * 1000, signal);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
}

async function probeOnce({ probe, container, spec, podIp }: ProbeOptions): Promise<boolean> {
  const timeoutMs = (probe.timeoutSeconds ?? DEFAULTS.timeoutSeconds) * 1000;
  if (probe.exec !== undefined) return (await container.exec(probe.exec.command, { timeoutMs })).code === 0;
  if (probe.httpGet === undefined) throw new Error('Expected a probe by httpGet or exec, got another kind');
  const { path = '/', port, httpHeaders = [] } = probe.httpGet;
  const number = typeof port === 'number' ? port : spec.ports?.find(({ name }) => name === port)?.containerPort;
  const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]));
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    request({ host: podIp, port: number, path, headers, agent: false, signal }, (reply) => {
      reply.resume().on('error', reject);
      resolve(reply.statusCode! >= 200 && reply.statusCode! < 400);
    })
      .on('error', reject)
      .end();
  });
}
