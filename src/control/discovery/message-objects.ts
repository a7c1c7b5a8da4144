import type { Mismatch } from '../../model/problem.ts';
import {
  type NatsPolicyResource,
  SUBSCRIPTION_DEFAULTS as DEFAULTS,
  SUBSCRIPTION_LIMITS as LIMITS,
  type SubscriptionResource,
} from '../../model/resource.ts';
import { Fields, trimmed, type UncheckedObject } from './fields.ts';
import type { Trimmed } from './objects.ts';

const FILTERS_MAX = 32;
const ATTRIBUTES_MAX = 32;
/** Of each list of a policy. */
const RULES_MAX = 256;

const LATER_DIALECTS = ['cel', 'sql', 'all', 'any', 'not', 'suffix'];

const PATTERN = 'a pattern of subjects';
const DURATION = 'a duration such as 5s or 250ms';

/**
 * Of a Subscription, what Heddle reads. A mismatch costs all of it, so that a message never goes where nobody meant it to; one
 * that names what is not yet obeyed does so only where the rest would mean something else without it.
 */
export function subscriptionOf({ metadata, spec: value }: UncheckedObject): Trimmed<SubscriptionResource> {
  const mismatches: Mismatch[] = [];
  const told: Mismatch[] = [];
  const spec = new Fields(value, 'spec', mismatches);
  const later = new Fields(value, 'spec', told);
  spec.only(['source', 'deliver', 'filters', 'retry', 'deadLetter', 'pause']);
  const source = spec.fields('source');
  source.only(['stream', 'subjects', 'mode', 'from', 'connection']);
  const deliver = spec.fields('deliver');
  const laterOfDelivery = ['order', 'batch', 'sign', 'reply'];
  deliver.only(['serviceRef', 'path', 'contentMode', 'timeout', 'concurrency', ...laterOfDelivery]);
  const serviceRef = deliver.fields('serviceRef');
  serviceRef.only(['name', 'port']);
  const concurrency = deliver.fields('concurrency');
  concurrency.only(['perEndpoint'], ['total']);
  const retry = spec.fields('retry');
  retry.only(['maxAttempts', 'base', 'cap']);
  const deadLetter = spec.fields('deadLetter');
  deadLetter.only(['subject'], ['headers']);
  for (const name of laterOfDelivery) tellLater(later.fields('deliver'), name);
  // Without these the rest would mean something else.
  if (spec.raw('pause') !== false) tellLater(spec, 'pause');
  if (source.raw('connection') !== 'default') tellLater(source, 'connection');
  const port = serviceRef.raw('port');
  const isNumber = typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535;
  const resource: SubscriptionResource = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    subjects: source.texts('subjects', LIMITS.subjects, PATTERN),
    stream: source.text('stream', 'the name of a stream'),
    mode: source.choice('mode', ['core', 'jetstream', 'auto'], 'auto'),
    from: source.choice('from', ['new', 'all'], 'new'),
    service: {
      name: serviceRef.text('name', 'the name of a Service'),
      port: isNumber ? String(port) : serviceRef.text('port', 'the name or number of a port'),
    },
    path: deliver.text('path', 'a path template') || '/',
    content: deliver.choice('contentMode', ['binary', 'structured'], 'binary'),
    filters: spec.each('filters', FILTERS_MAX).map((filter) => filterOf(filter)),
    concurrency: concurrency.integer('perEndpoint', [1, LIMITS.concurrency], DEFAULTS.concurrency),
    timeout: deliver.text('timeout', DURATION),
    retry: {
      maxAttempts: retry.integer('maxAttempts', [0, LIMITS.attempts], DEFAULTS.retry.maxAttempts),
      base: retry.text('base', DURATION) || DEFAULTS.retry.base,
      cap: retry.text('cap', DURATION) || DEFAULTS.retry.cap,
    },
    deadLetter: deadLetter.text('subject', 'a subject'),
  };
  if (resource.subjects.length === 0)
    source.mismatch('subjects', `a list of 1 to ${LIMITS.subjects} subjects`, source.raw('subjects'));
  if (resource.service.name === '') serviceRef.mismatch('name', 'the name of a Service', serviceRef.raw('name'));
  if (spec.has('deadLetter') && resource.deadLetter === '')
    deadLetter.mismatch('subject', 'a subject', deadLetter.raw('subject'));
  return trimmed(resource, mismatches, told);
}

function tellLater(fields: Fields, name: string): void {
  if (!fields.has(name)) return;
  fields.mismatch(name, `a field that this version obeys (${name} is known, but not yet obeyed)`, fields.raw(name));
}

/** Exactly one of `exact` and `prefix`, as in the CloudEvents Subscriptions API, 3.2.4. */
function filterOf(filter: Fields): SubscriptionResource['filters'][number] {
  const dialects = ['exact', 'prefix'];
  filter.only(dialects, LATER_DIALECTS);
  const attributes = (name: string) => filter.texted(name, ATTRIBUTES_MAX, 'the text of an attribute');
  const read = { exact: attributes('exact'), prefix: attributes('prefix') };
  const named = dialects.filter((name) => filter.has(name));
  const isEmpty = Object.keys(filter.raw(named[0] ?? '') ?? {}).length === 0;
  const isLater = LATER_DIALECTS.some((name) => filter.has(name));
  if ((named.length !== 1 || isEmpty) && !isLater)
    filter.wrong('one of exact and prefix, with an attribute or more', named.join(' and ') || 'nothing');
  return read;
}

/**
 * Of a NatsPolicy, what Heddle reads. A mismatch costs all that it allows: a rule that is not understood may be the one that denies.
 * What it denies, as far as it is understood, holds all the same: other policies may allow it.
 */
export function natsPolicyOf({ metadata: { name }, spec: value }: UncheckedObject): Trimmed<NatsPolicyResource> {
  const mismatches: Mismatch[] = [];
  const spec = new Fields(value, 'spec', mismatches);
  const limits = ['maxPayload', 'rate', 'headers'];
  spec.only(['from', 'publish', 'request', 'subscribe', 'streams', 'consumers', 'kv', ...limits], ['objects']);
  const streams = spec.fields('streams');
  streams.only(['read']);
  const consumers = spec.fields('consumers');
  consumers.only(['pull']);
  const resource: NatsPolicyResource = {
    name,
    from: spec.each('from', RULES_MAX).map((from) => sourceOf(from)),
    publish: rulesOf(spec.fields('publish')),
    request: rulesOf(spec.fields('request')),
    subscribe: rulesOf(spec.fields('subscribe')),
    streams: streams.texts('read', RULES_MAX, 'the name of a stream, or *'),
    consumers: consumers.texts('pull', RULES_MAX, 'STREAM/CONSUMER, either of which may be *'),
    kv: spec.texted('kv', RULES_MAX, 'r or rw'),
    maxPayload: spec.text('maxPayload', 'a size such as 256KiB'),
    rate: spec.text('rate', 'messages per second such as 500/s'),
    headers: spec.texts('headers', RULES_MAX, 'the name of a header'),
  };
  const read = trimmed(resource, mismatches, []);
  return read.resource === undefined ? { ...read, instead: denialsOf(resource, mismatches) } : read;
}

type Rules = NatsPolicyResource['publish'];

function deniesOf({ deny }: Rules): Rules {
  return { allow: [], deny };
}

/** Undefined: it denies nothing, or nobody knows to whom. */
function denialsOf(policy: NatsPolicyResource, mismatches: readonly Mismatch[]): NatsPolicyResource | undefined {
  const publish = deniesOf(policy.publish);
  const request = deniesOf(policy.request);
  const subscribe = deniesOf(policy.subscribe);
  const isEmpty = [publish, request, subscribe].every(({ deny }) => deny.length === 0);
  const isForSomebody = !mismatches.some(({ field }) => field === 'spec' || field.startsWith('spec.from'));
  if (isEmpty || !isForSomebody) return undefined;
  const { name, from } = policy;
  const nothing = { streams: [], consumers: [], kv: {}, maxPayload: '', rate: '', headers: [] };
  return { name, from, publish, request, subscribe, ...nothing };
}

/** What is absent restricts nothing; what is there, however empty, does. */
function sourceOf(from: Fields): NatsPolicyResource['from'][number] {
  from.only(['namespaces', 'podLabels', 'addresses', 'serviceAccounts']);
  return {
    ...(from.has('namespaces') && { namespaces: from.texts('namespaces', RULES_MAX, 'the name of a namespace') }),
    ...(from.has('podLabels') && { podLabels: from.texted('podLabels', RULES_MAX, 'the value of a label') }),
    ...(from.has('addresses') && { addresses: from.texts('addresses', RULES_MAX, 'an IP address or a block of them') }),
    ...(from.has('serviceAccounts') && { serviceAccounts: from.texts('serviceAccounts', RULES_MAX, 'NAMESPACE/NAME') }),
  };
}

function rulesOf(rules: Fields): NatsPolicyResource['publish'] {
  rules.only(['allow', 'deny']);
  return { allow: rules.texts('allow', RULES_MAX, PATTERN), deny: rules.texts('deny', RULES_MAX, PATTERN) };
}
