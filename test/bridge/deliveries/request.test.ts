import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers, type Msg } from '@nats-io/transport-node';
import { FIELDS_MAX, RequestWriter, type Written } from '../../../src/bridge/deliveries/request.ts';
import type { Subscription } from '../../../src/model/snapshot.ts';
import { HeadPool } from '../../../src/proxy/http.ts';
import { SUBSCRIPTION } from './node.ts';

function write(
  asked: Partial<Subscription>,
  subject: string,
  fields: Readonly<Record<string, string>> = {},
  traces = false,
  body = 'body',
): Written {
  const lines = headers();
  for (const [name, value] of Object.entries(fields)) lines.set(name, value);
  const named = Object.keys(fields).length > 0;
  const message = { subject, headers: named ? lines : undefined, data: Buffer.from(body) } as unknown as Msg;
  const writer = new RequestWriter({ ...SUBSCRIPTION, ...asked }, new HeadPool(FIELDS_MAX), traces);
  return writer.write({ message, stream: 'ORDERS', sequence: 7, storedMs: 0, attempt: 2 });
}

function textOf(written: Written): string {
  assert.equal(written.type, 'request');
  const { head } = written;
  return head.text(0, head.length);
}

test('the path is made of the tokens of the subject', () => {
  const text = textOf(write({ path: '/a/{subject[1]}/{header.x-team}' }, 'orders.new', { 'X-Team': 'blue' }));
  assert.match(text, /^POST \/a\/new\/blue HTTP\/1\.1\r\nhost: orders\.shop:80\r\n/);
});

test('a path that cannot be made is never delivered', () => {
  for (const team of ['', 'a/b', '..']) {
    const written = write({ path: '/{header.x-team}' }, 'orders.new', team === '' ? {} : { 'X-Team': team });
    if (written.type === 'request') assert.doesNotMatch(textOf(written), /^POST \/(?:\.\.|a\/b) /);
    else assert.equal(written.type, 'impossible');
  }
});

test('headers that would frame, route or speak for the mesh do not pass', () => {
  const text = textOf(
    write({}, 'orders.new', {
      'Content-Length': '99',
      'Transfer-Encoding': 'chunked',
      'Host': 'admin',
      'Connection': 'close',
      'Nats-Expected-Stream': 'X',
      'heddle-attempt': '9',
      'webhook-id': 'forged',
      'nats-sequence': '1',
    }),
  );
  assert.match(text, /content-length: 4\r\n/);
  assert.equal(text.match(/content-length/gi)?.length, 1);
  assert.equal(text.match(/webhook-id: ORDERS:7\r\n/g)?.length, 1);
  assert.equal(text.match(/heddle-attempt: 2\r\n/g)?.length, 1);
  assert.doesNotMatch(text, /forged|chunked|admin|close|expected/i);
});

test('a message that went through the mesh too often is never delivered', () => {
  assert.equal(write({}, 'orders.new', { 'heddle-hops': '16' }).type, 'request');
  assert.equal(write({}, 'orders.new', { 'heddle-hops': '17' }).type, 'looping');
});

test('with tracing the producer is linked to, without it its context goes on', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const linked = write({}, 'orders.new', { traceparent }, true);
  assert.equal(linked.type === 'request' ? linked.producer : '', traceparent);
  assert.doesNotMatch(textOf(linked), /traceparent/);
  assert.match(textOf(write({}, 'orders.new', { traceparent })), /traceparent: 00-a/);
});

test('the producer is known by the name in any case, and by one value only', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const producerOf = (fields: Readonly<Record<string, string>>): string => {
    const written = write({}, 'orders.new', fields, true);
    return written.type === 'request' ? written.producer : 'none';
  };
  assert.equal(producerOf({ Traceparent: traceparent }), traceparent);
  assert.equal(producerOf({ traceparent, Traceparent: traceparent }), '');
  assert.equal(producerOf({}), '');
});

test('a structured event of NATS arrives in binary mode', () => {
  const lines = headers();
  lines.set('Content-Type', 'application/cloudevents+json');
  const event = {
    specversion: '1.0',
    id: '1',
    source: '/s',
    type: 't',
    datacontenttype: 'application/json',
    data: { a: 1 },
  };
  const message = { subject: 'orders.a', headers: lines, data: Buffer.from(JSON.stringify(event)) } as unknown as Msg;
  const writer = new RequestWriter(SUBSCRIPTION, new HeadPool(FIELDS_MAX), false);
  const written = writer.write({ message, stream: 'ORDERS', sequence: 7, storedMs: 0, attempt: 1 });
  const text = textOf(written);
  assert.match(text, /ce-type: t\r\n/);
  assert.match(text, /content-type: application\/json\r\n/);
  assert.match(text, /webhook-id: 1\r\n/);
  assert.equal(written.type === 'request' ? written.body.toString() : '', '{"a":1}');
});

test('an event that breaks the rules of its specification is never delivered', () => {
  assert.equal(write({}, 'orders.new', { 'ce-specversion': '1.0', 'ce-id': '1' }).type, 'impossible');
});

const EVENT = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' };
const STRUCTURED = { 'Content-Type': 'application/cloudevents+json' };
const EVENT_JSON = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}';

function bodyOf(written: Written): string {
  assert.equal(written.type, 'request');
  return written.body.toString();
}

test('an event of NATS 1.0.2, without headers, arrives in the mode that was asked for', () => {
  const binary = write({}, 'orders.new', {}, false, EVENT_JSON);
  assert.match(textOf(binary), /ce-type: t\r\n/);
  assert.equal(bodyOf(binary), '{"a":1}');
  const structured = write({ content: 'structured' }, 'orders.new', {}, false, EVENT_JSON);
  assert.deepEqual(JSON.parse(bodyOf(structured)), {
    ...(JSON.parse(EVENT_JSON) as object),
    datacontenttype: 'application/json',
  });
  const filters = [{ exact: { type: 'other' }, prefix: {} }];
  assert.equal(write({ filters }, 'orders.new', {}, false, EVENT_JSON).type, 'unmatched');
});

test('an event in a format that is not read goes on as it is, but where it would have to be read', () => {
  const avro = { 'Content-Type': 'application/cloudevents+avro' };
  const passed = write({}, 'orders.new', avro);
  assert.match(textOf(passed), /content-type: application\/cloudevents\+avro\r\n/);
  assert.equal(bodyOf(passed), 'body');
  assert.equal(write({ content: 'structured' }, 'orders.new', avro).type, 'impossible');
  assert.equal(write({ filters: [{ exact: {}, prefix: {} }] }, 'orders.new', avro).type, 'impossible');
});

test('an event may have as many attributes as a message has headers', () => {
  const many = (count: number): Written => {
    const extensions = Object.fromEntries(Array.from({ length: count }, (_, index) => [`ce-e${index}`, 'v']));
    return write({}, 'orders.new', { ...EVENT, ...extensions, 'X-Other': 'a' });
  };
  assert.match(textOf(many(56)), /ce-e55: v\r\n/);
  // More than heads of HTTP may have: in structured mode.
  assert.match(textOf(many(90)), /content-type: application\/cloudevents\+json\r\n/);
  assert.match(textOf(many(90)), /x-other: a\r\n/);
  assert.match(bodyOf(many(90)), /"e89":"v"/);
});

test('the type of the data begins no other line', () => {
  const type = 'text/plain; a="\u010d\u010aevil: 1"';
  const event = JSON.stringify({ ...(JSON.parse(EVENT_JSON) as object), datacontenttype: type });
  assert.equal(write({}, 'orders.new', STRUCTURED, false, event).type, 'impossible');
});

test('what is no media type is none of an event that is made of a message', () => {
  const written = write({ content: 'structured' }, 'orders.new', { 'Content-Type': 'text' });
  assert.equal((JSON.parse(bodyOf(written)) as Record<string, string>)['datacontenttype'], 'application/octet-stream');
});
