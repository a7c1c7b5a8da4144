import { type Dice, SeededDice } from '../lib/dice.ts';
import type { ExplainQuestion, Explanation, FaultsStep, Outcome, RuleStep, TargetStep } from '../model/explanation.ts';
import { FAILURES, type FailureCode } from '../model/failure.ts';
import { FAULT_FORMS } from '../model/faults.ts';
import { type BackendId, BRIDGE_BACKEND } from '../model/snapshot.ts';
import { decide, Decision, type Directory, ownAnswer } from './decide.ts';
import { clientOf } from './explain/client.ts';
import { editsView, faultText, matchText, redirectText } from './explain/describe.ts';
import { readQuestion } from './explain/request.ts';
import { sentHead } from './explain/sent.ts';
import { firstHints, hashStep, policyViews, rateLimitStep, termViews } from './explain/terms.ts';
import { triedEntries } from './explain/tried.ts';
import { type LiveBackend, sourceHash } from './balance.ts';
import { type RateLimits, sourceLines } from './filter.ts';
import { FIELD, type Head, type Source } from './http.ts';
import type { TermsSettings } from './route.ts';

export { explainLine } from './explain/line.ts';

/** Where it is asked. */
export interface ExplainContext {
  readonly directory: Directory;
  readonly generation: number;
  readonly settings: TermsSettings;
  /** Of the mesh entry; 0: unknown. */
  readonly listenerPort: number;
  /** What a worker knows beside. */
  readonly live?: LiveContext;
}

export interface LiveContext {
  readonly backends: ReadonlyMap<BackendId, LiveBackend>;
  readonly rateLimits: RateLimits;
}

const MS_PER_S = 1000;

/**
 * What this plan does with a request, and why: the decision that `serve` would obey, in words. The request is read by the parser
 * that reads requests; what it refuses is an explanation too.
 */
export function explain(question: ExplainQuestion, context: ExplainContext): Explanation {
  const { directory, generation, settings, listenerPort, live } = context;
  const { limits } = settings;
  const { client, workloads } = clientOf(question.as, directory.workloads);
  const { method, url } = question;
  const asked = { generation, method, url, client };
  const request = readQuestion(question, { head: limits.head, headers: limits.headers, url: limits.url });
  if ('failure' in request) return { ...NOTHING, ...asked, outcome: failed(request.failure, request.detail) };
  const { head } = request;
  const decision = new Decision();
  const source = sourceOf(client.address, listenerPort);
  const chance = { ...diceOf(question), nowS: () => Date.now() / MS_PER_S };
  decide(head, { ...directory, workloads }, source, chance, decision);
  return {
    ...NOTHING,
    ...asked,
    ...stepsOf(decision, head),
    rateLimit: rateLimitStep(decision, { head, source, workloads }, live?.rateLimits),
    ...endOf(decision, head, source, context),
  };
}

function sourceOf(address: string, listenerPort: number): Source {
  const [lines, hash] = [sourceLines(address), sourceHash(address)];
  return { address, trusted: false, lines, hash, listener: 'mesh', listenerPort };
}

/** Of what goes to no endpoint. */
const NOWHERE = { terms: [], backend: null, sent: [], reply: { drop: [], lines: [] } };

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
  rateLimit: null,
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
  };
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

/** Where it ends, by which terms, and what arrives there. */
function endOf(
  decision: Decision,
  head: Head,
  source: Source,
  { directory, settings, live }: ExplainContext,
): Pick<Explanation, 'outcome' | 'terms' | 'backend' | 'sent' | 'reply'> {
  const { failure, detail, answer, backend: id, target } = decision;
  if (failure !== undefined) return { ...NOWHERE, outcome: failed(failure, detail) };
  if (answer !== 'none') return { ...NOWHERE, ...answered(decision, head) };
  if (id === BRIDGE_BACKEND.id)
    return { ...NOWHERE, outcome: { does: 'forward', status: 0, failure: '', text: 'The bridge answers it' } };
  const { backend: chosen } = directory.backends.get(id!)!;
  const { endpoints, subject } = chosen;
  const terms = termViews(decision, head, settings);
  const backend = {
    id: id!,
    subject: subject?.template ?? '',
    endpoints: endpoints.length,
    preferred: endpoints.filter(({ tier }) => tier === 0).length,
    policy: policyViews(chosen, terms, settings),
    hash: hashStep(chosen, { live: live?.backends.get(chosen.id), head, source, pathStart: decision.pathStart }),
  };
  const [sent, reply] = [
    sentHead(decision, head, source, firstHints(decision, head, chosen, settings)),
    editsView(target?.target.response),
  ];
  if (subject === undefined && endpoints.length === 0)
    return { terms, backend, sent, reply, outcome: failed('no-endpoint', `No endpoint of ${id} is ready`) };
  const text = subject === undefined ? `An endpoint of ${id} gets it` : `It becomes a message on ${subject.template}`;
  return { terms, backend, sent, reply, outcome: { does: 'forward', status: 0, failure: '', text } };
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
