import { shown } from '../../lib/shown.ts';
import type { Field } from '../headers.ts';
import { MessageProblem } from '../problem.ts';
import type { OutgoingRecord } from './outgoing.ts';

const NO_FIELDS: readonly Field[] = [];
const NOTHING = Buffer.alloc(0);
const KEY = /^[\x21-\x7e]{1,255}$/;
const MEMBERS = 'subject, data, data_base64, json, headers, id';

/** A line of a bulk: `{"subject":"a.b","json":{…}}`. @param identity of whom its id is. */
export function readRecord(line: string, identity: string): OutgoingRecord | MessageProblem {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return malformed(`Expected a line of JSON, got ${shown(line)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return malformed(`Expected an object with ${MEMBERS}, got ${shown(value)}`);
  let subject: unknown;
  let body: Buffer | undefined;
  let bodies = 0;
  let json = false;
  let fields: readonly Field[] | MessageProblem = NO_FIELDS;
  let extra: readonly Field[] | MessageProblem = NO_FIELDS;
  // By hand: this runs for each of very many lines.
  for (const name in value) {
    const member = (value as Readonly<Record<string, unknown>>)[name];
    switch (name) {
      case 'subject':
        subject = member;
        break;
      case 'json':
        bodies++;
        json = true;
        body = jsonOf(member);
        break;
      case 'data':
        bodies++;
        if (typeof member === 'string') body = Buffer.from(member);
        break;
      case 'data_base64':
        bodies++;
        body = base64(member);
        break;
      case 'headers':
        fields = readFields(member);
        break;
      case 'id':
        extra = readId(member, identity);
        break;
      default:
        return malformed(`Expected the members ${MEMBERS}, got ${shown(name)}`);
    }
  }
  if (typeof subject !== 'string') return malformed(`Expected a subject, got ${shown(subject)}`);
  if (bodies > 1) return malformed('Expected one of data, data_base64 and json, got several');
  if (bodies === 1 && body === undefined)
    return malformed('Expected a string as data, base64 as data_base64, or json that is not nested too deeply');
  if (fields instanceof MessageProblem) return fields;
  if (extra instanceof MessageProblem) return extra;
  return { subject, body: body ?? NOTHING, fields, extra, json };
}

/** Undefined: it is nested deeper than the stack. */
function jsonOf(value: unknown): Buffer | undefined {
  try {
    return Buffer.from(JSON.stringify(value));
  } catch {
    return undefined;
  }
}

function readFields(value: unknown): readonly Field[] | MessageProblem {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return malformed(`Expected an object of headers, got ${shown(value)}`);
  const fields: Field[] = [];
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') return malformed(`Expected a string as header ${shown(name)}, got ${shown(text)}`);
    fields.push([name, text]);
  }
  return fields;
}

function readId(value: unknown, identity: string): readonly Field[] | MessageProblem {
  if (typeof value === 'string' && KEY.test(value)) return [['Nats-Msg-Id', `${identity}:${value}`]];
  return malformed(`Expected an id of 1 to 255 visible ASCII, got ${shown(value)}`);
}

/** Undefined: it is none. What Buffer leaves out would be lost without a word. */
function base64(value: unknown): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64');
  return bytes.toString('base64') === value ? bytes : undefined;
}

function malformed(detail: string): MessageProblem {
  return new MessageProblem('invalid-body', detail);
}
