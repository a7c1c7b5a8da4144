import type { ExplainAnswer } from '../../model/admin.ts';
import type {
  BackendStep,
  ClientStep,
  Explanation,
  FaultsStep,
  HashStep,
  HeaderEditsView,
  MirrorStep,
  Outcome,
  RateLimitStep,
  RuleStep,
  RulesStep,
  ServiceStep,
  SessionStep,
  TargetStep,
  TermView,
} from '../../model/explanation.ts';
import { FAILURES, type FailureCode } from '../../model/failure.ts';
import { effectiveSetting, endpointView, loadView, problemView, statusView } from './answers.ts';
import { boolean, choice, integer, list, number, object, orNull, type Schema, text } from './schema.ts';

const field = text('Path of the field, such as spec.rules[0]');
const objectName = text('Whose it is, such as "HTTPRoute shop/orders"');
const share = number('Share of the requests, from 0 to 1');
const reason = text('Why it leads nowhere; else empty');
const match = text('What must fit, in words');
const texts = (description: string): Schema<readonly string[]> => list(description, text('One of them'));

const client: Schema<ClientStep> = object('Who sends it', {
  address: text('Its address'),
  namespace: text('Its namespace; empty: unknown'),
  serviceAccount: text('Its service account'),
  pod: text('Its pod, as namespace/name; empty: no pod of this node is known to be it'),
});

const outcome: Schema<Outcome> = object('What happens', {
  does: choice('"answer": the mesh answers by itself, as somebody wished', ['forward', 'answer', 'fail']),
  status: integer('Status of the reply; 0: an endpoint says it'),
  failure: choice<FailureCode | ''>('Code of the mesh failure; empty: it does not fail', [
    '',
    ...(Object.keys(FAILURES) as FailureCode[]),
  ]),
  text: text('What happens, for a person'),
});

const service: Schema<ServiceStep> = object('The Service that the request means', {
  by: choice('What named it', ['listener', 'authority', 'bare-name', 'path', 'header']),
  namespace: text('Its namespace'),
  name: text('Its name'),
  enabled: boolean('It has opted in'),
  port: integer('Its port; 0: none was found'),
  portName: text('Name of the port; empty where it has none'),
});

const rules: Schema<RulesStep> = object('The rules that count for this client, and the entries that were tried', {
  consumers: text('Namespace of the clients that they are for; empty: all'),
  protocol: choice('Of which requests', ['http', 'grpc']),
  unmatched: choice('Where requests go that fit none: to the backend of the port, or nowhere', ['forward', 'refuse']),
  objects: texts('Whose rules they are; at most 10'),
  entries: integer('Number of all matches'),
  fits: integer('Of the entry that fits, in the order of precedence, from 0; -1: none does'),
  tried: list(
    'Entries before it, with what did not fit; at most 100',
    object('An entry', {
      object: objectName,
      field,
      match,
      part: text('The first part that does not fit'),
      expected: text('What was expected of it'),
      got: text('What was got'),
    }),
  ),
  triedLeft: integer('How many are left out'),
});

const rule: Schema<RuleStep> = object('The rule that decides, and the match that led to it', {
  object: objectName,
  field,
  name: text('Name of the rule; empty where it has none'),
  file: orNull(text('File in which it stands')),
  line: orNull(integer('Line in it, from 1')),
  matchField: field,
  match,
  cors: texts('Origins that may (CORS); empty: it says nothing about them'),
  redirect: text('Redirect in words; empty: none'),
});

const faults: Schema<FaultsStep> = object('Faults that are wished for, and what happens of them', {
  by: choice('Who asked for what happens', ['nobody', 'policy', 'client']),
  wished: list('By the owner of the Service', object('A fault', { text: text('What'), share })),
  abortStatus: integer('Status of the answer; 0: it is not aborted'),
  delayMs: number('Delay in milliseconds; 0: none'),
  throttleBytesPerS: number('Bytes of the reply in each second; 0: as fast as it comes'),
  unheeded: text('Why x-heddle-fault of the client is not heeded; empty: it is, or there is none'),
});

const session: Schema<SessionStep> = object('The session of the request', {
  by: choice('What carries its token', ['cookie', 'header']),
  name: text('Name of the cookie or header'),
  known: boolean('The request brought a token that holds'),
});

const targets: Schema<readonly TargetStep[]> = list(
  'Where the rule sends requests',
  object('A target', {
    field,
    name: text('A Service with its port, or a Subject'),
    weight: integer('Its weight'),
    share,
    chosen: boolean('This request goes there'),
    reason,
  }),
);

const mirrors: Schema<readonly MirrorStep[]> = list(
  'Who gets copies',
  object('A mirror', {
    field,
    name: text('A Service with its port, or a Subject'),
    share,
    copied: boolean('It gets a copy of this request'),
    reason,
  }),
);

const term: Schema<TermView> = object('What holds, called and written as by an annotation', {
  name: text('Key of the annotation, without its prefix'),
  value: text('Its value; "off" where there is no limit'),
  by: text('Whose wish it is: an object with its field, "x-heddle-timeout-ms", "settings", "default"'),
});

const rateLimit: Schema<RateLimitStep> = object('The rate limit that it comes under', {
  policy: text('The limit, such as "10/s, burst 20, per source"'),
  by: text('Whose wish it is'),
  left: orNull(integer('Requests that may still come at once with the key of this one; null: it is not known here')),
  nextMs: number('Until one more than these may come, in milliseconds'),
  shared: boolean('It has no bucket of its own: there are too many keys'),
});

const hash: Schema<HashStep> = object('What its hash means, where the endpoint follows from one', {
  on: text('What the hash is of, such as "header:x-user"'),
  endpoint: text('Address and port; empty: it is not known here'),
});

const backend: Schema<BackendStep> = object('The endpoints that serve it', {
  id: text('namespace/name:port'),
  subject: text('The subject that serves it in place of endpoints; empty: endpoints do'),
  endpoints: integer('Endpoints that may get traffic now'),
  preferred: integer('Of these, those that are tried first'),
  policy: list('In force there', term),
  hash: orNull(hash),
});

const edits: Schema<HeaderEditsView> = object('What becomes of the header lines of the reply', {
  drop: texts('Names of lines that do not go on'),
  lines: texts('Lines that are added'),
});

const explanation: Schema<Explanation> = object('What the plan decides, step by step', {
  generation: integer('Generation of the plan'),
  method: text('As it was asked'),
  url: text('As it was asked'),
  client,
  outcome,
  service: orNull(service),
  rules: orNull(rules),
  rule: orNull(rule),
  faults: orNull(faults),
  session: orNull(session),
  targets,
  roll: orNull(number('What the dice said about the targets, from 0 to below 1; null: they were not asked')),
  mirrors,
  terms: list('Timeouts and retries; empty: it goes to no backend', term),
  rateLimit: orNull(rateLimit),
  backend: orNull(backend),
  sent: texts('Lines of the head that an endpoint gets'),
  reply: edits,
});

export const explainAnswer: Schema<ExplainAnswer> = object('What happens to a request, and why', {
  explanation,
  endpoints: list('Of the backend, by address; at most 100', endpointView),
  endpointsLeft: integer('How many are left out'),
  load: orNull(loadView),
  problems: list('Those that name the Service, an object of its rules, or a target', problemView),
  statuses: list('Of routes that have one of these as a parent', statusView),
  settings: list('Limits of the node', effectiveSetting),
});
