import { createHash } from 'node:crypto';
import { parseDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { covers, nameRefusal, overlaps, patternRefusal, reservedRefusal, subjectRefusal } from '../../lib/subject.ts';
import { parseTemplate, PATH_TEMPLATE } from '../../lib/template.ts';
import { portOf, USUAL_PORT, usualPortOf } from '../../model/ports.ts';
import type { Mismatch } from '../../model/problem.ts';
import { objectName, SUBSCRIPTION_DEFAULTS, type SubscriptionResource } from '../../model/resource.ts';
import {
  authoritiesOf,
  OWN_PREFIX,
  type Frontend,
  type FrontendPort,
  type SubjectTarget,
  type Subscription,
} from '../../model/snapshot.ts';
import { type MessageRules, mismatchOf, NO_BROKER, refusedUse } from './message-rules.ts';

/** What asks for messages, as it is written: by annotations of a Service, or as an object. */
export interface Ask extends Omit<SubscriptionResource, 'origin'> {
  readonly kind: 'Service' | 'Subscription';
  /** The path of a field, for problems. @param index of an entry of it. */
  readonly field: (part: AskPart, index?: number) => string;
}

export type AskPart =
  | 'subjects'
  | 'stream'
  | 'from'
  | 'service'
  | 'port'
  | 'path'
  | 'filters'
  | 'timeout'
  | 'retryBase'
  | 'retryCap'
  | 'deadLetter';

/** A subscription before it is known which node it is for. */
export type CompiledSubscription = Omit<Subscription, 'endpoints'>;

/** The Service that it is for. */
export interface Target {
  readonly frontend: Frontend;
  /** That serves it in place of endpoints. */
  readonly subject: SubjectTarget | undefined;
}

const TIMEOUT_MS_MAX = 3_600_000;
const WAIT_MS_MAX = 86_400_000;
const BASE_MS = parseDuration(SUBSCRIPTION_DEFAULTS.retry.base)!;
const CAP_MS = parseDuration(SUBSCRIPTION_DEFAULTS.retry.cap)!;
/** Attributes of CloudEvents 1.0.2, "Naming Conventions". */
const ATTRIBUTE = /^[a-z0-9]+$/;
const DURABLE_MAX = 64;
const HASH_CHARS = 16;

/**
 * What an ask compiles to. Where messages come from and where they go must be as it was meant, or nothing is delivered; what
 * says how has defaults. A dead letter that cannot be obeyed is none: then redelivery never ends, and nothing is lost.
 */
export function compileAsk(
  ask: Ask,
  target: Target | undefined,
  { rules, clusterDomain }: { readonly rules: MessageRules; readonly clusterDomain: string },
): { readonly subscription: CompiledSubscription | undefined; readonly mismatches: readonly Mismatch[] } {
  const reading = new AskReading(ask, rules);
  if (rules.by === 'none') {
    reading.refuse('subjects', NO_BROKER, shown(ask.subjects.join(', ')));
    return { subscription: undefined, mismatches: reading.mismatches };
  }
  const port = reading.port(target);
  const subjects = reading.subjects();
  const tuning = reading.tuning(subjects);
  reading.check();
  if (reading.isRefused || subjects.length === 0 || port === undefined || target === undefined)
    return { subscription: undefined, mismatches: reading.mismatches };
  const { namespace, name, kind, mode, stream, from, path, content, filters, concurrency } = ask;
  const subscription: CompiledSubscription = {
    id: objectName(kind, ask),
    namespace,
    name,
    subjects,
    mode,
    stream: stream === '' ? undefined : stream,
    durable: durableOf(ask),
    from,
    authority: `${authoritiesOf(target.frontend, clusterDomain)[0]}:${port.port}`,
    backend: port.backend,
    path,
    content,
    filters,
    concurrency,
    ...tuning,
  };
  return { subscription, mismatches: reading.mismatches };
}

class AskReading {
  readonly mismatches: Mismatch[] = [];
  /** One of them costs the subscription. */
  isRefused = false;
  readonly #ask: Ask;
  readonly #rules: MessageRules;

  constructor(ask: Ask, rules: MessageRules) {
    this.#ask = ask;
    this.#rules = rules;
  }

  /** Which the messages go to. */
  port(target: Target | undefined): FrontendPort | undefined {
    const { namespace, service } = this.#ask;
    if (target?.frontend.enabled !== true) {
      const expected = `a Service of the namespace ${namespace} that is in the mesh`;
      this.refuse(
        'service',
        expected,
        target === undefined ? `none called ${shown(service.name)}` : `${shown(service.name)}, which is not`,
      );
      return undefined;
    }
    const { ports } = target.frontend;
    const port = service.port === '' ? usualPortOf(ports) : portOf(ports, service.port);
    if (port === undefined) {
      const known = ports.map(({ port: number, name }) => (name === '' ? `${number}` : `${name} (${number})`));
      const expected = `a port of the Service that is in the mesh (${known.slice(0, 10).join(', ') || 'it has none'})`;
      const ofNone = `none named, of ${ports.length} and without ${USUAL_PORT}`;
      this.refuse('port', expected, service.port === '' ? ofNone : shown(service.port));
    } else if (target.subject !== undefined)
      this.refuse('service', 'a Service with endpoints', `${shown(service.name)}, which a subject serves`);
    return port;
  }

  /** Sorted, and none overlaps another: a message would come twice, and servers refuse a consumer of such. */
  subjects(): readonly string[] {
    const allowed = this.#ask.subjects.map((pattern, index) => (this.#isAllowed(pattern, index) ? pattern : undefined));
    const good: string[] = [];
    for (const [index, pattern] of allowed.entries()) {
      if (pattern === undefined) continue;
      // Of two that are equal the first one stays.
      const wider = allowed.find(
        (other, at) =>
          other !== undefined && at !== index && covers(other, pattern) && (at < index || !covers(pattern, other)),
      );
      const other = wider ?? good.find((one) => overlaps(one, pattern));
      if (other === undefined) good.push(pattern);
      else {
        const got = `${shown(pattern)}, which ${wider === undefined ? 'overlaps' : 'is within'} ${shown(other)}`;
        this.mismatches.push({
          field: this.#ask.field('subjects', index),
          expected: 'subjects that do not overlap',
          got,
        });
      }
    }
    return good.toSorted();
  }

  #isAllowed(pattern: string, index: number): boolean {
    const { namespace, field } = this.#ask;
    const malformed = patternRefusal(pattern) ?? reservedRefusal(pattern);
    if (malformed !== undefined) {
      this.mismatches.push(mismatchOf(field('subjects', index), malformed, pattern));
      return false;
    }
    const refused = refusedUse(this.#rules, { namespace, use: 'subscribe', pattern });
    if (refused === undefined) return true;
    // A consumer of the others would go past what is stored meanwhile: a policy that is away for a moment must not cost messages.
    const mismatch = mismatchOf(field('subjects', index), refused, pattern);
    this.#refuse({ ...mismatch, expected: `${mismatch.expected}; until then nothing is delivered` });
    return false;
  }

  /** What must be as it was meant. */
  check(): void {
    const { mode, stream, from, path, filters, field } = this.#ask;
    if (stream !== '') {
      const refusal = nameRefusal(stream);
      if (refusal !== undefined) this.#refuse(mismatchOf(field('stream'), refusal));
      else if (mode === 'core') this.refuse('stream', 'no stream in mode core', shown(stream));
    }
    if (from === 'all' && mode === 'core') this.refuse('from', 'new in mode core, where nothing is kept', from);
    const template = parseTemplate(path, PATH_TEMPLATE);
    if (typeof template === 'string') this.#refuse(mismatchOf(field('path'), template));
    for (const [index, { exact, prefix }] of filters.entries())
      for (const name of Object.keys({ ...exact, ...prefix }))
        if (!ATTRIBUTE.test(name)) {
          const expected = 'names of CloudEvents attributes, of a-z and 0-9';
          this.#refuse({ field: field('filters', index), expected, got: shown(name) });
        }
  }

  /** What has defaults. */
  tuning(subjects: readonly string[]): Pick<Subscription, 'timeoutMs' | 'retry' | 'deadLetter'> {
    const { timeout, retry } = this.#ask;
    const baseMs = this.#duration('retryBase', retry.base, WAIT_MS_MAX) ?? BASE_MS;
    const capMs = this.#duration('retryCap', retry.cap, WAIT_MS_MAX) ?? CAP_MS;
    return {
      timeoutMs: this.#duration('timeout', timeout, TIMEOUT_MS_MAX),
      retry: { max: retry.maxAttempts === 0 ? undefined : retry.maxAttempts, baseMs, capMs: Math.max(baseMs, capMs) },
      deadLetter: this.#deadLetter(subjects),
    };
  }

  /** It costs the subscription. */
  refuse(part: AskPart, expected: string, got: string): void {
    this.#refuse({ field: this.#ask.field(part), expected, got });
  }

  #duration(part: AskPart, text: string, maxMs: number): number | undefined {
    if (text === '') return undefined;
    const ms = parseDuration(text);
    if (ms !== undefined && ms > 0 && ms <= maxMs) return ms;
    const expected = `a duration such as 5s or 250ms, of at most ${maxMs / 3_600_000}h`;
    this.mismatches.push({ field: this.#ask.field(part), expected, got: shown(text) });
    return undefined;
  }

  #deadLetter(subjects: readonly string[]): string | undefined {
    const { namespace, deadLetter, field } = this.#ask;
    if (deadLetter === '') return undefined;
    const refusal = subjectRefusal(deadLetter);
    const refused = refusal ?? refusedUse(this.#rules, { namespace, use: 'publish', pattern: deadLetter });
    const own = subjects.find((pattern) => covers(pattern, deadLetter));
    if (refused !== undefined) this.mismatches.push(mismatchOf(field('deadLetter'), refused, deadLetter));
    else if (own !== undefined) {
      const expected = 'a subject that it does not deliver itself (dead letters would come back)';
      this.mismatches.push({
        field: field('deadLetter'),
        expected,
        got: `${shown(deadLetter)}, which is within ${shown(own)}`,
      });
    } else return deadLetter;
    return undefined;
  }

  #refuse(mismatch: Mismatch): void {
    this.isRefused = true;
    this.mismatches.push(mismatch);
  }
}

/**
 * The same for as long as the object asks for the same messages, on every node, whatever policies say; no two objects have the
 * same: a name alone may be cut off, the hash is of all of it. 96 bits, so that nobody finds another object with the durable of
 * somebody else's.
 */
function durableOf({ kind, namespace, name, stream, from, subjects }: Ask): string {
  const all = JSON.stringify([kind, namespace, name, stream, from, subjects.toSorted()]);
  const hash = createHash('sha256').update(all).digest('base64url').slice(0, HASH_CHARS);
  const readable = `${OWN_PREFIX}${namespace}-${name}`
    .replace(/[^A-Za-z0-9_-]/g, '_')
    .slice(0, DURABLE_MAX - HASH_CHARS - 1);
  return `${readable}-${hash}`;
}
