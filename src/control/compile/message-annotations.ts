import { shown } from '../../lib/shown.ts';
import { parseTemplate, SUBJECT_TEMPLATE } from '../../lib/template.ts';
import type { Mismatch } from '../../model/problem.ts';
import {
  ANNOTATION_PREFIX,
  SUBSCRIPTION_DEFAULTS as DEFAULTS,
  SUBSCRIPTION_LIMITS as LIMITS,
} from '../../model/resource.ts';
import type { SubjectTarget } from '../../model/snapshot.ts';
import type { Key } from './annotation-keys.ts';
import type { AnnotationReading } from './annotation-reading.ts';
import type { Ask, AskPart } from './asks.ts';
import { mismatchOf } from './message-rules.ts';

/** Annotations that say how, of what `nats-subscribe` asks for. */
const HOW = ['nats-mode', 'nats-stream', 'nats-path', 'nats-concurrency', 'nats-retry', 'nats-dead-letter'] as const;

/** Which annotation a problem of a part of an ask names. */
const KEY_OF: Readonly<Record<AskPart, Key>> = {
  subjects: 'nats-subscribe',
  from: 'nats-subscribe',
  service: 'nats-subscribe',
  port: 'nats-subscribe',
  filters: 'nats-subscribe',
  stream: 'nats-stream',
  path: 'nats-path',
  timeout: 'nats-retry',
  retryBase: 'nats-retry',
  retryCap: 'nats-retry',
  deadLetter: 'nats-dead-letter',
};

const TARGETS: ReadonlyMap<string, Omit<SubjectTarget, 'template'>> = new Map([
  ['request', { does: 'request', ack: 'server' }],
  ['publish', { does: 'publish', ack: 'server' }],
  ['publish&ack=server', { does: 'publish', ack: 'server' }],
  ['publish&ack=stream', { does: 'publish', ack: 'stream' }],
]);

/** The subject that shall serve a Service: `nats:orders.{path[1]}?request`. */
export function readSubject(reading: AnnotationReading): SubjectTarget | undefined {
  const found = reading.find('backend');
  if (found === undefined) return undefined;
  const { key, value } = found;
  const read = value.startsWith('nats:') ? parseSubjectTarget(value.slice('nats:'.length)) : undefined;
  if (read !== undefined && 'template' in read) return read;
  const expected = 'nats:SUBJECT?request, nats:SUBJECT?publish or nats:SUBJECT?publish&ack=stream';
  reading.mismatch(key, read ?? { expected, got: shown(value) });
  return undefined;
}

/** What `SUBJECT?request` and the like name; undefined: it has not that form. */
export function parseSubjectTarget(text: string): SubjectTarget | Omit<Mismatch, 'field'> | undefined {
  const [, template, query = 'request'] = /^([^?]+)(?:\?(.*))?$/s.exec(text) ?? [];
  const target = TARGETS.get(query);
  if (template === undefined || target === undefined) return undefined;
  const parsed = parseTemplate(template, SUBJECT_TEMPLATE);
  return typeof parsed === 'string' ? mismatchOf('', parsed) : { template, ...target };
}

/** What the annotations of a Service ask for. */
export function readAsk(reading: AnnotationReading): Ask | undefined {
  const { namespace, name } = reading.service;
  const found = reading.find('nats-subscribe');
  if (found === undefined) {
    const alone = HOW.map((key) => reading.find(key)).find((one) => one !== undefined);
    const expected = `${ANNOTATION_PREFIX}nats-subscribe beside it (nothing is delivered without)`;
    if (alone !== undefined) reading.mismatch(alone.key, { expected, got: 'none' });
    return undefined;
  }
  const subjects = found.value.split(',', LIMITS.subjects + 1).map((subject) => subject.trim());
  if (subjects.length > LIMITS.subjects) {
    reading.mismatch(found.key, { expected: `at most ${LIMITS.subjects} subjects`, got: 'more' });
    return undefined;
  }
  return {
    kind: 'Service',
    field: (part) => reading.fieldOf(KEY_OF[part]),
    namespace,
    name,
    subjects,
    stream: reading.find('nats-stream')?.value ?? '',
    mode: reading.choice('nats-mode', { now: ['core', 'jetstream'] }) ?? 'auto',
    from: 'new',
    service: { name, port: '' },
    path: reading.find('nats-path')?.value ?? '/',
    content: 'binary',
    filters: [],
    concurrency: readConcurrency(reading),
    timeout: '',
    retry: readRetry(reading),
    deadLetter: reading.find('nats-dead-letter')?.value ?? '',
  };
}

function readConcurrency(reading: AnnotationReading): number {
  const found = reading.find('nats-concurrency');
  if (found === undefined) return DEFAULTS.concurrency;
  const concurrency = /^[1-9]\d{0,3}$/.test(found.value) ? Number(found.value) : 0;
  if (concurrency > 0 && concurrency <= LIMITS.concurrency) return concurrency;
  reading.mismatch(found.key, { expected: `a whole number from 1 to ${LIMITS.concurrency}`, got: shown(found.value) });
  return DEFAULTS.concurrency;
}

/** `max=8, base=1s, cap=5m`, each of which may be left out; durations are looked at with those of objects. */
function readRetry(reading: AnnotationReading): Ask['retry'] {
  const found = reading.find('nats-retry');
  if (found === undefined) return DEFAULTS.retry;
  let { maxAttempts, base, cap } = DEFAULTS.retry;
  const items = found.value.split(',', 4).map((item) => item.trim());
  const left = new Set(['max', 'base', 'cap']);
  for (const item of items) {
    const [, name = '', value = ''] = /^(\w+)=(\S+)$/.exec(item) ?? [];
    const max = value === 'never-ending' ? 0 : /^[1-9]\d{0,6}$/.test(value) ? Number(value) : Number.NaN;
    const isGood = left.delete(name) && (name !== 'max' || max <= LIMITS.attempts);
    if (!isGood) {
      const expected = 'max=NUMBER or max=never-ending, base=DURATION, cap=DURATION, each at most once';
      reading.mismatch(found.key, { expected, got: shown(item) });
    } else if (name === 'max') maxAttempts = max;
    else if (name === 'base') base = value;
    else cap = value;
  }
  return { maxAttempts, base, cap };
}
