import { shown } from '../../lib/shown.ts';
import { objectName } from '../../model/resource.ts';
import type { BackendId, SubjectTarget } from '../../model/snapshot.ts';
import { parseSubjectTarget } from './message-annotations.ts';
import { type MessageRules, NO_BROKER } from './message-rules.ts';
import type { Asked, Ref, Refs } from './refs.ts';
import type { Readings } from './service-reading.ts';
import { noOffer } from './service-ports.ts';
import { subjectMismatch } from './subjects.ts';

/** All that rules may name. Immutable for those who ask. */
export class RefBook {
  readonly #services: Readings;
  readonly #rules: MessageRules;
  readonly #areRulesNew: boolean;
  /** By `namespace/subject`: answered once. */
  readonly #subjects = new Map<string, Ref>();

  /** @param rulesBefore of the last book: `holds` is asked about the answers of that one. */
  constructor(services: Readings, rules: MessageRules, rulesBefore: MessageRules | undefined) {
    this.#services = services;
    this.#rules = rules;
    this.#areRulesNew = rules !== rulesBefore;
  }

  /** Every question is answered as by the last book. */
  get isSame(): boolean {
    return this.#services.changed.size === 0 && !this.#areRulesNew;
  }

  asking(): Asking {
    return new Asking(this);
  }

  /** The same Services are there as for the last book, whatever their ports are. */
  get hasSameNames(): boolean {
    return this.#services.hasSameNames;
  }

  /** Would each question be answered the same now? @param asked of the last book. */
  holds(asked: readonly Asked[]): boolean {
    return this.isSame || asked.every((one) => !this.#mayDiffer(one) || isSame(one.answer, this.answer(one)));
  }

  #mayDiffer({ kind, namespace, name }: Asked): boolean {
    if (kind === 'Subject') return this.#areRulesNew;
    return this.#services.changed.get(namespace)?.has(name) === true;
  }

  answer({ kind, namespace, name, port }: Omit<Asked, 'answer'>): Ref {
    if (kind === 'Service') {
      const reading = this.#services.all.get(namespace)?.get(name);
      if (reading !== undefined) return reading.offers.get(port) ?? noOffer(reading.service, port);
      return { reason: 'BackendNotFound', text: `There is no ${objectName('Service', { namespace, name })}` };
    }
    const key = `${namespace}/${name}`;
    let ref = this.#subjects.get(key);
    if (ref === undefined) this.#subjects.set(key, (ref = this.#subject(namespace, name)));
    return ref;
  }

  /** The number of the only TCP port of a Service; 0: it has several, or none. */
  onlyPort(namespace: string, name: string): number {
    const { ports = [] } = this.#services.all.get(namespace)?.get(name)?.service ?? {};
    const [first, ...others] = ports.filter(({ protocol }) => protocol === 'TCP');
    return first === undefined || others.length > 0 ? 0 : first.port;
  }

  #subject(namespace: string, text: string): Ref {
    const target = parseSubjectTarget(text);
    const lost = (expected: string): string => `Subject ${shown(text)} leads nowhere: expected ${expected}`;
    if (target === undefined || !('template' in target)) {
      const forms = 'SUBJECT?request, SUBJECT?publish or SUBJECT?publish&ack=stream';
      return { reason: 'BackendNotFound', text: lost(target?.expected ?? forms) };
    }
    if (this.#rules.by === 'none') return { reason: 'BackendNotFound', text: lost(NO_BROKER) };
    const refused = subjectMismatch(target, { namespace, rules: this.#rules });
    if (refused === undefined) return { backend: `${namespace}/${subjectText(target)}` as BackendId };
    return { reason: 'RefNotPermitted', text: lost(refused.expected) };
  }
}

/** Notes what is asked, and what was answered. */
export class Asking implements Refs {
  readonly asked: Asked[] = [];
  readonly #book: RefBook;

  constructor(book: RefBook) {
    this.#book = book;
  }

  service(namespace: string, name: string, port: number): Ref {
    return this.#ask({ kind: 'Service', namespace, name, port });
  }

  subject(namespace: string, subject: string): Ref {
    return this.#ask({ kind: 'Subject', namespace, name: subject, port: 0 });
  }

  /** The number of the only port of a Service; 0: it has several. Ask for a port before: it is not noted. */
  onlyPort(namespace: string, name: string): number {
    return this.#book.onlyPort(namespace, name);
  }

  #ask(question: Omit<Asked, 'answer'>): Ref {
    const answer = this.#book.answer(question);
    this.asked.push({ ...question, answer });
    return answer;
  }
}

/** As a rule names it, and the same for all who mean the same. */
function subjectText({ template, does, ack }: SubjectTarget): string {
  return `${template}?${does}${ack === 'stream' ? '&ack=stream' : ''}`;
}

function isSame(a: Ref, b: Ref): boolean {
  if (a === b) return true;
  if ('backend' in a) return 'backend' in b && a.backend === b.backend;
  return 'reason' in b && a.reason === b.reason && a.text === b.text;
}
