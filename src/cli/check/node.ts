import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsAnswer } from '../../model/admin.ts';
import { AdminError, type AdminClient } from '../client.ts';
import { writeJson } from '../command.ts';
import { EXIT_UNREAD, EXIT_WRONG } from '../exit.ts';
import { bridgeFindings } from './bridge.ts';
import { discoveryFindings } from './discovery.ts';
import { type Finding, finding, isFine, tell } from './finding.ts';

interface Findings {
  readonly answers: boolean;
  readonly findings: readonly Finding[];
}

export interface NodeCheckOptions {
  readonly output: 'table' | 'json';
  readonly trace: boolean;
  /** How long it may take until nothing is wrong. */
  readonly waitMs: number;
}

const AGAIN_MS = 500;
/** More problems than this are for `heddle problems`. */
const PROBLEMS_SHOWN = 10;

/** Checks a running node. @returns the exit code */
export async function checkNode(admin: AdminClient, { output, trace, waitMs }: NodeCheckOptions): Promise<number> {
  const endMs = performance.now() + waitMs;
  let result = await look(admin, trace);
  while (!isFine(result.findings) && performance.now() < endMs) {
    await sleep(Math.min(AGAIN_MS, endMs - performance.now()));
    result = await look(admin, trace);
  }
  const { answers, findings } = result;
  if (output === 'json') writeJson({ ok: isFine(findings), findings });
  else tell(findings);
  if (!answers) return EXIT_UNREAD;
  return isFine(findings) ? 0 : EXIT_WRONG;
}

async function look(admin: AdminClient, trace: boolean): Promise<Findings> {
  try {
    const { version } = await admin.config();
    const findings = [
      finding('node', 'ok', `answers at ${admin.url}, version ${version}`),
      await readiness(admin),
      ...(await workers(admin)),
      ...discoveryFindings(await admin.discovery()),
      ...bridgeFindings(await admin.bridge()),
      ...(await configuration(admin)),
      ...(await losses(admin)),
      ...(trace ? await tracing(admin) : []),
    ];
    return { answers: true, findings };
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    const [text = '', ...advice] = error.message.split('\n');
    return { answers: false, findings: [finding('node', 'wrong', text, advice.join('\n'))] };
  }
}

async function readiness(admin: AdminClient): Promise<Finding> {
  const reason = await admin.unready();
  if (reason === '') return finding('node', 'ok', 'is ready');
  const advice =
    'Until then it gets no traffic; it is unready before its first configuration, without workers, and while it drains';
  return finding('node', 'wrong', `is not ready: ${reason.replaceAll('\n', '; ')}`, advice);
}

const STATE_ADVICE: Readonly<Record<StatsAnswer['workers'][number]['state'], string>> = {
  ready: '',
  starting: 'A worker takes a second to start; look again, or use --wait 10s',
  stuck:
    'Its event loop does not turn: it is ended and replaced within two seconds. If this comes back, its log says why',
  down: 'It has ended and is started again with growing pauses; the log of the node says why',
};

async function workers(admin: AdminClient): Promise<readonly Finding[]> {
  const [{ workers: all }, { current, generations }] = await Promise.all([admin.stats(), admin.generations()]);
  const states = all
    .filter(({ state }) => state !== 'ready')
    .map(({ worker, state }) =>
      finding(
        'workers',
        state === 'starting' ? 'warning' : 'wrong',
        `worker ${worker} is ${state}`,
        STATE_ADVICE[state],
      ),
    );
  const newest = generations.find(({ generation }) => generation === current);
  const behind = (newest?.workers ?? [])
    .filter(({ state }) => state === 'pending' || state === 'kept')
    .map(({ worker, state, reason }) =>
      state === 'kept'
        ? finding(
            'workers',
            'wrong',
            `worker ${worker} could not apply generation ${current}: ${reason ?? 'no reason given'}`,
            'It obeys the generation before; this is a defect of Heddle: please report it with the output of heddle generations -o json',
          )
        : finding('workers', 'warning', `worker ${worker} has not applied generation ${current} yet`, 'Look again'),
    );
  if (states.length + behind.length > 0) return [...states, ...behind];
  if (all.length === 0) return [finding('workers', 'wrong', 'there are none', 'The log of the node says why')];
  return [finding('workers', 'ok', `${all.length} ready, with generation ${current}`)];
}

async function configuration(admin: AdminClient): Promise<readonly Finding[]> {
  const [{ services }, { problems }] = await Promise.all([admin.services(), admin.problems()]);
  const findings = problems.slice(0, PROBLEMS_SHOWN).map(({ text }) => finding('configuration', 'wrong', text, ''));
  if (problems.length > PROBLEMS_SHOWN) {
    const more = `${problems.length - PROBLEMS_SHOWN} more problems`;
    findings.push(finding('configuration', 'wrong', more, 'heddle problems shows all of them'));
  }
  const enabled = services.filter((service) => service.enabled);
  if (enabled.length === 0) {
    const advice = 'Annotate one with heddle.dev/enabled: "true"';
    findings.push(finding('configuration', 'warning', 'no Service is enabled', advice));
  }
  for (const { namespace, name, endpointsUsed } of enabled) {
    if (endpointsUsed > 0) continue;
    const advice = `heddle endpoints ${namespace}/${name} says why`;
    findings.push(
      finding('configuration', 'warning', `Service ${namespace}/${name} has no endpoint that may get traffic`, advice),
    );
  }
  if (findings.length > 0) return findings;
  return [finding('configuration', 'ok', `no problems; ${enabled.length} of ${services.length} Services enabled`)];
}

/** Series that count what was lost, and what to do when they grow. */
const LOST = [
  {
    series: 'heddle_log_dropped_total',
    text: 'log lines were dropped',
    advice: 'Who reads the output of the node is too slow: log less (heddle log-level warn), or read faster',
  },
  {
    series: 'heddle_log_failed_total',
    text: 'log lines could not be written',
    advice: 'Nobody reads the output of the node, or its disk is full',
  },
  {
    series: 'heddle_spans_total{outcome="dropped"}',
    text: 'spans were dropped',
    advice: 'The trace collector is too slow for them: sample fewer',
  },
  {
    series: 'heddle_spans_total{outcome="failed"}',
    text: 'spans could not be sent',
    advice: 'heddle check --trace says where they get lost',
  },
] as const;

async function losses(admin: AdminClient): Promise<readonly Finding[]> {
  const metrics = await admin.metrics();
  const findings = LOST.flatMap(({ series, text, advice }) => {
    const lost = totalOf(metrics, series);
    return lost > 0 ? [finding('telemetry', 'warning', `${lost} ${text}`, advice)] : [];
  });
  return findings.length > 0 ? findings : [finding('telemetry', 'ok', 'no log line and no span was lost')];
}

/** Sum over all labels that are not given; 0 where there is no such series. */
function totalOf(metrics: string, series: string): number {
  let sum = 0;
  for (const line of metrics.split('\n')) {
    const value = line.startsWith(series) ? /^(?:\{[^}]*\})? (\d+)/.exec(line.slice(series.length))?.[1] : undefined;
    sum += Number(value ?? 0);
  }
  return sum;
}

async function tracing(admin: AdminClient): Promise<readonly Finding[]> {
  const { ok, traceId, steps } = await admin.probeTrace();
  const findings = steps.map((one) => finding('telemetry', one.ok ? 'ok' : 'wrong', `${one.step}: ${one.text}`));
  if (ok) return [...findings, finding('telemetry', 'ok', `trace ${traceId} has arrived`)];
  const advice = 'The first step that failed says where; heddle config shows where spans are sent';
  return [...findings, finding('telemetry', 'wrong', `trace ${traceId} was lost`, advice)];
}
