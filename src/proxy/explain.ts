import { type Dice, SeededDice } from '../lib/dice.ts';
import { formatDuration } from '../lib/duration.ts';
import type { ExplainQuestion, Explanation, FaultsStep, Outcome, RuleStep, TargetStep } from '../model/explanation.ts';
import { FAILURES, type FailureCode } from '../model/failure.ts';
import { FAULT_FORMS } from '../model/faults.ts';
import type { Rule } from '../model/routing.ts';
import { BRIDGE_BACKEND } from '../model/snapshot.ts';
import { decide, Decision, type Directory, ownAnswer } from './decide.ts';
import { clientOf } from './explain/client.ts';
import { editsView, faultText, matchText, redirectText } from './explain/describe.ts';
import { readQuestion } from './explain/request.ts';
import { sentHead } from './explain/sent.ts';
import { triedEntries } from './explain/tried.ts';
import { FIELD, type Head, type HeadLimits } from './http.ts';

export { explainLine } from './explain/line.ts';

/** Where it is asked. */
export interface Place {
  readonly directory: Directory;
  readonly generation: number;
  readonly headLimits: HeadLimits;
  /** Of the mesh entry; 0: unknown. */
  readonly listenerPort: number;
}

const MS_PER_S = 1000;

/**
 * What this plan does with a request, and why: the decision that `serve` would obey, in words. The request is read by the parser
 * that reads requests; what it refuses is an explanation too.
 */
export function explain(
  question: ExplainQuestion,
  { directory, generation, headLimits, listenerPort }: Place,
): Explanation {
  const { client, workloads } = clientOf(question.as, directory.workloads);
  const { method, url } = question;
  const asked = { generation, method, url, client };
  const request = readQuestion(question, headLimits);
  if ('failure' in request) return { ...NOTHING, ...asked, outcome: failed(request.failure, request.detail) };
  const { head } = request;
  const decision = new Decision();
  const source = { address: client.address, trusted: false, listener: 'mesh', listenerPort } as const;
  const chance = { ...diceOf(question), nowS: () => Date.now() / MS_PER_S };
  decide(head, { ...directory, workloads }, source, chance, decision);
  return {
    ...NOTHING,
    ...asked,
    ...stepsOf(decision, head),
    ...endOf(decision, { directory, head, address: client.address }),
  };
}

/** Of what goes to no endpoint. */
const NOWHERE = { backend: null, sent: [], reply: { drop: [], lines: [] } };

/** Of what is no request. */
const NOTHING = {
  ...NOWHERE,
  service: null,
  rules: null,
  rule: null,
  faults: null,
  session: null,
  targets: [],
  roll: null,
  mirrors: [],
} satisfies Partial<Explanation>;

function diceOf({ roll, seed }: ExplainQuestion): Dice {
  if (roll !== null) return { roll: () => roll };
  const dice = seed === null ? undefined : new SeededDice(seed);
  return { roll: () => dice?.roll() ?? Math.random() };
}

type Steps = Pick<Explanation, 'service' | 'rules' | 'rule' | 'faults' | 'session' | 'targets' | 'roll' | 'mirrors'>;

function stepsOf(decision: Decision, head: Head): Steps {
  const { frontend, port, rule, session, roll } = decision;
  return {
    service:
      frontend === undefined
        ? null
        : {
            by: decision.by,
            namespace: frontend.namespace,
            name: frontend.name,
            enabled: frontend.enabled,
            port: port?.port ?? 0,
            portName: port?.name ?? '',
          },
    rules: triedEntries(decision, head),
    rule: ruleStep(decision),
    faults: faultsStep(decision, head),
    session: session === undefined ? null : { by: session.by, name: session.name, known: decision.endpointMark > 0 },
    targets: targetSteps(decision),
    roll: roll < 0 ? null : roll,
    mirrors: (rule?.rule.mirrors ?? []).map(({ field, name, share, reason }, index) => {
      return { field, name, share, copied: ((decision.mirrors >> index) & 1) === 1, reason };
    }),
  };
}

function ruleStep({ table, entry, rule: live }: Decision): RuleStep | null {
  const found = table?.table.entries[entry];
  if (live === undefined || found === undefined) return null;
  const { rule } = live;
  const { object, field, name, origin } = rule.source;
  return {
    object,
    field,
    name,
    file: origin?.file ?? null,
    line: origin?.line ?? null,
    matchField: found.field,
    match: matchText(found.match),
    cors: rule.cors?.origins ?? [],
    redirect: rule.redirect === undefined ? '' : redirectText(rule.redirect),
    carried: carriedOf(rule),
  };
}

/** What issue 6 obeys. */
function carriedOf({ timeouts, retry }: Rule): RuleStep['carried'] {
  const { requestMs, tryMs } = timeouts;
  return [
    ...(requestMs === undefined ? [] : [{ name: 'timeout of all attempts', value: timeText(requestMs) }]),
    ...(tryMs === undefined ? [] : [{ name: 'timeout of each attempt', value: timeText(tryMs) }]),
    ...(retry?.attempts === undefined ? [] : [{ name: 'retries', value: String(retry.attempts) }]),
    ...(retry === undefined || retry.codes.length === 0
      ? []
      : [{ name: 'retried statuses', value: retry.codes.join(', ') }]),
    ...(retry?.backoffMs === undefined ? [] : [{ name: 'wait before a retry', value: timeText(retry.backoffMs) }]),
  ];
}

function timeText(ms: number): string {
  return Number.isFinite(ms) ? formatDuration(ms) : 'off';
}

function faultsStep(decision: Decision, head: Head): FaultsStep | null {
  const { routing, faultsBy, abortStatus, delayMs, throttleBytesPerS } = decision;
  const wished = (routing?.policy?.faults ?? []).map((fault) => ({ text: faultText(fault), share: fault.share }));
  const unheeded = unheededFault(decision, head);
  if (wished.length === 0 && faultsBy === 'nobody' && unheeded === '') return null;
  return { by: faultsBy, wished, abortStatus, delayMs, throttleBytesPerS, unheeded };
}

function unheededFault({ port, routing, faultsBy }: Decision, head: Head): string {
  if (port === undefined || faultsBy === 'client' || head.find(FIELD.heddleFault) < 0) return '';
  return routing?.policy?.faultOnHeader === true
    ? `expected ${FAULT_FORMS}, each once and one duration only`
    : 'the Service does not allow it by heddle.dev/fault-on-header';
}

function targetSteps({ rule, target: chosen }: Decision): readonly TargetStep[] {
  return (rule?.targets ?? []).map((live) => {
    const { field, name, weight, reason } = live.target;
    const share = rule!.weight === 0 ? 0 : weight / rule!.weight;
    return { field, name, weight, share, chosen: live === chosen, reason };
  });
}

interface End {
  readonly directory: Directory;
  readonly head: Head;
  /** Of the client. */
  readonly address: string;
}

/** Where it ends, and what arrives there. */
function endOf(
  decision: Decision,
  { directory, head, address }: End,
): Pick<Explanation, 'outcome' | 'backend' | 'sent' | 'reply'> {
  const { failure, detail, answer, backend: id, target } = decision;
  if (failure !== undefined) return { ...NOWHERE, outcome: failed(failure, detail) };
  if (answer !== 'none') return { ...NOWHERE, ...answered(decision, head) };
  if (id === BRIDGE_BACKEND.id)
    return { ...NOWHERE, outcome: { does: 'forward', status: 0, failure: '', text: 'The bridge answers it' } };
  const { endpoints, affinity, subject } = directory.backends.get(id!)!.backend;
  const backend = {
    id: id!,
    affinity,
    subject: subject?.template ?? '',
    endpoints: endpoints.length,
    preferred: endpoints.filter(({ tier }) => tier === 0).length,
  };
  const [sent, reply] = [sentHead(decision, head, address), editsView(target?.target.response)];
  if (subject === undefined && endpoints.length === 0)
    return { backend, sent, reply, outcome: failed('no-endpoint', `No endpoint of ${id} is ready`) };
  const text = subject === undefined ? `An endpoint of ${id} gets it` : `It becomes a message on ${subject.template}`;
  return { backend, sent, reply, outcome: { does: 'forward', status: 0, failure: '', text } };
}

function failed(failure: FailureCode, detail: string): Outcome {
  const { status, advice } = FAILURES[failure];
  return { does: 'fail', status, failure, text: detail === '' ? advice : detail };
}

/** By the mesh, as somebody wished. */
function answered(decision: Decision, head: Head): Pick<Explanation, 'outcome' | 'reply'> {
  const { status, fields } = ownAnswer(head, decision);
  const { drop, lines } = editsView(decision.rule?.rule.response);
  return {
    outcome: { does: 'answer', status, failure: '', text: answerText(decision) },
    reply: { drop, lines: [...fields.map(([name, value]) => `${name}: ${value}`), ...lines] },
  };
}

function answerText({ answer, faultsBy }: Decision): string {
  if (answer === 'redirect') return 'A redirect of the rule answers it';
  if (answer === 'preflight')
    return 'The mesh answers it, as CORS of the rule says: the Service does not see preflights';
  return `A fault answers it: ${faultsBy === 'client' ? 'the client asked for it' : 'the owner of the Service wants it'}`;
}
