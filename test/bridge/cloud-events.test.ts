import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type CloudEvent,
  eventId,
  eventMedia,
  matchesFilters,
  readBatch,
  readHttpBinary,
  readNats,
  readStructured,
  writeHttpBinary,
  writeNatsBinary,
  writeStructured,
} from '../../src/bridge/cloud-events.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';
import {
  ACCEPTED_ATTRIBUTES,
  type Event,
  type Headers,
  JSON_BOTH_WAYS,
  JSON_READ,
  JSON_REFUSED,
  MEDIA_TYPES,
  READ_VALUES,
  REFUSED_ATTRIBUTES,
  REFUSED_NAMES,
  REFUSED_VALUES,
  REQUIRED,
  REQUIRED_HEADERS,
  WRITTEN_VALUES,
} from './cloud-events.table.ts';

const STRUCTURED = 'application/cloudevents+json; charset=UTF-8';
const BATCH = 'application/cloudevents-batch+json';
const EMPTY = Buffer.alloc(0);

type Read = CloudEvent | MessageProblem | undefined;

function eventOf(read: Read): CloudEvent {
  assert.ok(read !== undefined);
  assert.ok(!(read instanceof MessageProblem), read instanceof MessageProblem ? read.detail : '');
  return read;
}

function assertRefused(read: Read, rule: string, code = 'invalid-event'): void {
  assert.ok(read instanceof MessageProblem, `Expected a problem: ${rule}`);
  assert.equal(read.code, code, rule);
  assert.match(read.detail, /^Expected .*, got /s);
}

function assertEvent(read: Read, { attributes, data }: Event, rule: string): void {
  const event = eventOf(read);
  assert.deepEqual(Object.fromEntries(event.attributes), { ...REQUIRED, ...attributes }, rule);
  assert.deepEqual(event.data && Buffer.from(event.data), data === undefined ? undefined : Buffer.from(data), rule);
}

function made(attributes: Readonly<Record<string, string>>, data?: string | Uint8Array): CloudEvent {
  return {
    attributes: new Map(Object.entries({ ...REQUIRED, ...attributes })),
    data: data === undefined ? undefined : Buffer.from(data),
  };
}

/** Attributes of the required ones that are given replace them. */
function headersWith(name: string, value: string): Headers {
  return [...REQUIRED_HEADERS.filter(([header]) => header !== `ce-${name}`), [`ce-${name}`, value]];
}

function jsonWith(members: string): Buffer {
  return Buffer.from(`{${[JSON.stringify(REQUIRED).slice(1, -1), members].filter((part) => part !== '').join(',')}}`);
}

const READERS = [
  ['HTTP', (headers: Headers) => readHttpBinary(headers, EMPTY)],
  ['NATS', (headers: Headers) => readNats(headers, EMPTY)],
] as const;
const WRITERS = [
  ['HTTP', writeHttpBinary],
  ['NATS', writeNatsBinary],
] as const;

describe('values in headers', () => {
  for (const [binding, write] of WRITERS) {
    test(`are written percent-encoded for ${binding}`, () => {
      for (const [value, header] of WRITTEN_VALUES) {
        const fields = new Map(write(made({ ext: value })).fields);
        assert.equal(fields.get('ce-ext'), header);
      }
    });
  }

  for (const [binding, read] of READERS) {
    test(`are read from ${binding} as they were meant`, () => {
      for (const [value, header] of WRITTEN_VALUES)
        assertEvent(read(headersWith('ext', header)), { attributes: { ext: value }, data: undefined }, header);
      for (const [header, value, rule] of READ_VALUES)
        assertEvent(read(headersWith('ext', header)), { attributes: { ext: value }, data: undefined }, rule);
    });

    test(`are refused from ${binding} where they mean nothing`, () => {
      for (const [header, rule] of REFUSED_VALUES) assertRefused(read(headersWith('ext', header)), rule);
    });

    test(`are refused from ${binding} where the attribute may not have them`, () => {
      for (const [name, value, rule] of REFUSED_ATTRIBUTES) assertRefused(read(headersWith(name, value)), rule);
      for (const [name, rule] of REFUSED_NAMES) assertRefused(read(headersWith(name, 'a')), rule);
    });

    test(`are taken from ${binding} where the attribute may have them`, () => {
      for (const [name, value] of ACCEPTED_ATTRIBUTES) eventOf(read(headersWith(name, value)));
    });

    test(`are read from ${binding} under names in any case, but once only`, () => {
      assertEvent(
        read(REQUIRED_HEADERS.map(([name, value]) => [name.toUpperCase(), value])),
        { attributes: {}, data: undefined },
        'http 3.1.3.1',
      );
      assertRefused(read([...REQUIRED_HEADERS, ['CE-Id', '2']]), 'core: an attribute has one value');
    });
  }

  test('are all there that are required', () => {
    for (const name of Object.keys(REQUIRED)) {
      const others = REQUIRED_HEADERS.filter(([header]) => header !== `ce-${name}`);
      assertRefused(readHttpBinary(others, EMPTY), name);
      if (name !== 'specversion') assertRefused(readNats(others, EMPTY), name);
    }
  });
});

describe('HTTP, binary mode', () => {
  test('has the type of the data in Content-Type, and nowhere else (http 3.1.1)', () => {
    const typed: Headers = [...REQUIRED_HEADERS, ['Content-Type', 'text/plain; charset="utf-8"']];
    assertEvent(
      readHttpBinary(typed, Buffer.from('a')),
      { attributes: { datacontenttype: 'text/plain; charset="utf-8"' }, data: 'a' },
      '',
    );
    assertRefused(readHttpBinary([...typed, ['ce-datacontenttype', 'text/plain']], EMPTY), 'http 3.1.1');
    assertRefused(readHttpBinary([...REQUIRED_HEADERS, ['Content-Type', 'text']], EMPTY), 'core datacontenttype');
    const { fields, body } = writeHttpBinary(made({ datacontenttype: 'text/plain' }, 'a'));
    assert.deepEqual(fields, [...REQUIRED_HEADERS, ['content-type', 'text/plain']]);
    assert.equal(Buffer.from(body).toString(), 'a');
  });

  test('has the data as they are, or nothing (http 3.1.2)', () => {
    const bytes = Uint8Array.of(0, 13, 10, 255);
    assertEvent(readHttpBinary(REQUIRED_HEADERS, bytes), { attributes: {}, data: bytes }, '');
    assertEvent(readHttpBinary(REQUIRED_HEADERS, EMPTY), { attributes: {}, data: undefined }, '');
    assert.equal(writeHttpBinary(made({})).body.length, 0);
  });

  test('is not taken for an event about an event: that one goes structured', () => {
    const event = made({ datacontenttype: 'application/cloudevents+json' }, JSON.stringify(REQUIRED));
    const { fields, body } = writeHttpBinary(event);
    assert.deepEqual(fields, [['content-type', 'application/cloudevents+json']]);
    assertEvent(
      readStructured(body, 'application/cloudevents+json'),
      { attributes: Object.fromEntries(event.attributes), data: event.data },
      '',
    );
  });

  test('goes structured where no head could hold its attributes (core Size Limits)', () => {
    const many = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`ext${index}`, 'a']));
    for (const event of [made(many, 'a'), made({ subject: '\u00fc'.repeat(10_000) }, 'a')]) {
      const { fields, body } = writeHttpBinary(event);
      assert.deepEqual(fields, [['content-type', 'application/cloudevents+json']]);
      assertEvent(
        readStructured(body, STRUCTURED),
        { attributes: Object.fromEntries(event.attributes), data: 'a' },
        '',
      );
    }
  });

  test('says nothing of the type of the data by an empty Content-Type', () => {
    assertEvent(
      readHttpBinary([...REQUIRED_HEADERS, ['content-type', '']], EMPTY),
      { attributes: {}, data: undefined },
      '',
    );
  });

  test('has media types as mail has them, and nothing that is more than a line', () => {
    for (const type of MEDIA_TYPES)
      assertEvent(
        readHttpBinary([...REQUIRED_HEADERS, ['content-type', type]], EMPTY),
        { attributes: { datacontenttype: type }, data: undefined },
        type,
      );
    // As bytes of Latin-1 these would end the line.
    for (const type of ['text/plain; a="\u010d\u010aevil: 1"', 'text/plain; a="\u00fc"', 'text', '/', 'a/b c', 'a/b/c'])
      assertRefused(
        readStructured(Buffer.from(JSON.stringify({ ...REQUIRED, datacontenttype: type })), STRUCTURED),
        type,
      );
  });

  test('takes no notice of other headers', () => {
    assertEvent(
      readHttpBinary([...REQUIRED_HEADERS, ['cex', 'a'], ['x-ce-a', 'b']], EMPTY),
      { attributes: {}, data: undefined },
      '',
    );
  });
});

describe('NATS', () => {
  test('has the type of the data among the attributes (nats 3.1.3.1)', () => {
    const { fields, body } = writeNatsBinary(made({ datacontenttype: 'text/plain; charset=utf-8' }, 'a'));
    assert.deepEqual(fields, [...REQUIRED_HEADERS, ['ce-datacontenttype', 'text/plain;%20charset=utf-8']]);
    assertEvent(
      readNats(fields, body),
      { attributes: { datacontenttype: 'text/plain; charset=utf-8' }, data: 'a' },
      '',
    );
  });

  test('has it in Content-Type where that stands alone', () => {
    const both: Headers = [...REQUIRED_HEADERS, ['Content-Type', 'text/plain'], ['ce-datacontenttype', 'text/xml']];
    assertEvent(readNats(both, EMPTY), { attributes: { datacontenttype: 'text/xml' }, data: undefined }, '');
    assertEvent(
      readNats(both.slice(0, -1), EMPTY),
      { attributes: { datacontenttype: 'text/plain' }, data: undefined },
      '',
    );
  });

  test('is an event whatever stands in Content-Type, which is none of its attributes', () => {
    for (const type of ['text', '', 'a b', 'text/\u00fc'])
      assertEvent(
        readNats([...REQUIRED_HEADERS, ['Content-Type', type]], EMPTY),
        { attributes: {}, data: undefined },
        type,
      );
  });

  test('is structured where Content-Type begins with the media type of events, in any case (nats 3)', () => {
    for (const type of [
      'application/cloudevents+json',
      'Application/CloudEvents+JSON; charset=utf-8',
      'application/cloudevents',
    ])
      assertEvent(readNats([['CONTENT-TYPE', type]], jsonWith('')), { attributes: {}, data: undefined }, type);
    assertRefused(
      readNats([['content-type', 'application/cloudevents-batch+json']], Buffer.from('[]')),
      'nats 1.3: no batches',
    );
    assertRefused(
      readNats([['content-type', 'application/cloudevents+avro']], EMPTY),
      'json only',
      'unsupported-media-type',
    );
  });

  test('is structured without headers, where it is an event (nats 3 of 1.0.2)', () => {
    const body = Buffer.from(`\n ${jsonWith('"data":{"a":1}').toString()}`);
    const event = { attributes: { datacontenttype: 'application/json' }, data: '{"a":1}' };
    assertEvent(readNats([], body), event, '');
    assertEvent(readNats([['X-Other', 'a']], body), event, 'other headers say nothing of the body');
    assert.equal(readNats([['Content-Type', 'application/json']], body), undefined, 'a type says that it is no event');
    for (const other of [
      '{}',
      '{"specversion":"1.0"}',
      `[${jsonWith('').toString()}]`,
      '{"specversion":"1.0"',
      '"specversion"',
    ])
      assert.equal(readNats([], Buffer.from(other)), undefined, other);
  });

  test('has messages that are no events', () => {
    assert.equal(readNats([], Buffer.from('a')), undefined);
    assert.equal(
      readNats(
        [
          ['Content-Type', 'application/json'],
          ['ce-id', '1'],
        ],
        Buffer.from('{}'),
      ),
      undefined,
    );
  });

  test('may have several values under a name, of which an attribute has one', () => {
    const values = (several: readonly string[]): Read =>
      readNats([...REQUIRED_HEADERS.map(([name, value]) => [name, [value]] as const), ['ce-ext', several]], EMPTY);
    assertEvent(values(['a']), { attributes: { ext: 'a' }, data: undefined }, '');
    assertRefused(values(['a', 'b']), 'core: an attribute has one value');
  });
});

describe('the JSON format', () => {
  test('is read', () => {
    for (const [rule, json, event] of [...JSON_BOTH_WAYS, ...JSON_READ])
      assertEvent(readStructured(jsonWith(json), STRUCTURED), event, rule);
  });

  test('is written as it was read', () => {
    for (const [rule, json] of JSON_BOTH_WAYS)
      assert.equal(
        writeStructured(eventOf(readStructured(jsonWith(json), STRUCTURED))).toString(),
        jsonWith(json).toString(),
        rule,
      );
  });

  test('refuses what is no event', () => {
    for (const [rule, json] of JSON_REFUSED) assertRefused(readStructured(jsonWith(json), STRUCTURED), rule);
    for (const [name, value, rule] of REFUSED_ATTRIBUTES)
      assertRefused(readStructured(Buffer.from(JSON.stringify({ ...REQUIRED, [name]: value })), STRUCTURED), rule);
    for (const name of Object.keys(REQUIRED))
      assertRefused(readStructured(Buffer.from(JSON.stringify({ ...REQUIRED, [name]: undefined })), STRUCTURED), name);
    for (const name of Object.keys(REQUIRED))
      assertRefused(readStructured(Buffer.from(JSON.stringify({ ...REQUIRED, [name]: null })), STRUCTURED), name);
  });

  test('refuses what is no JSON object in UTF-8', () => {
    for (const text of ['', '{', '[]', 'null', '1', '"a"', '{}{}', `${jsonWith('').toString()},`])
      assertRefused(readStructured(Buffer.from(text), STRUCTURED), text);
    assertRefused(
      readStructured(
        Buffer.concat([
          jsonWith('').subarray(0, -1),
          Buffer.from([0x2c, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d]),
        ]),
        STRUCTURED,
      ),
      'no UTF-8',
    );
    assertRefused(
      readStructured(jsonWith(''), 'application/cloudevents+json; charset=utf-16'),
      'charset',
      'unsupported-media-type',
    );
    assertRefused(readStructured(jsonWith(''), 'application/cloudevents+xml'), 'format', 'unsupported-media-type');
  });

  test('writes what its type does not describe as base64, without loss', () => {
    for (const [type, data] of [
      ['application/json', '{'],
      ['application/json', '\u{feff}{}'],
      ['text/plain; charset=utf-16', 'a'],
      ['text/plain', Uint8Array.of(0xff)],
      ['image/png', 'text'],
      [undefined, '{}'],
    ] as const) {
      const event = made(type === undefined ? {} : { datacontenttype: type }, data);
      const written = writeStructured(event);
      assert.ok(written.includes('"data_base64":'), String(type));
      assertEvent(
        readStructured(written, STRUCTURED),
        { attributes: type === undefined ? {} : { datacontenttype: type }, data },
        type ?? '',
      );
    }
  });

  test('keeps a byte order mark of text', () => {
    const event = made({ datacontenttype: 'text/plain' }, '\u{feff}a');
    assertEvent(
      readStructured(writeStructured(event), STRUCTURED),
      { attributes: { datacontenttype: 'text/plain' }, data: '\u{feff}a' },
      '',
    );
  });

  test('gives binary mode what it says (json 3.2)', () => {
    const event = eventOf(readStructured(jsonWith('"comexampleothervalue":5,"data":{"xyz":123}'), STRUCTURED));
    assert.deepEqual(writeNatsBinary(event).fields.slice(4), [
      ['ce-comexampleothervalue', '5'],
      ['ce-datacontenttype', 'application/json'],
    ]);
    assert.equal(Buffer.from(writeNatsBinary(event).body).toString(), '{"xyz":123}');
  });
});

describe('batches', () => {
  test('are lists of events, each right or wrong by itself (json 4)', () => {
    const read = readBatch(Buffer.from(` [ ${jsonWith('"data":[1,{"a":"]"}]').toString()} ,{}, 5 ]\n`), BATCH);
    assert.ok(!(read instanceof MessageProblem));
    assert.equal(read.length, 3);
    assertEvent(read[0], { attributes: { datacontenttype: 'application/json' }, data: '[1,{"a":"]"}]' }, '');
    assertRefused(read[1], 'nothing that is required');
    assertRefused(read[2], 'no object');
  });

  test('may be empty (json 4.3)', () => {
    assert.deepEqual(readBatch(Buffer.from('[]'), BATCH), []);
  });

  test('are read in the JSON format only', () => {
    for (const type of [
      'application/cloudevents-batch+avro',
      'application/cloudevents-batch',
      `${BATCH}; charset=utf-16`,
    ]) {
      const read = readBatch(Buffer.from('[]'), type);
      assert.ok(read instanceof MessageProblem);
      assert.equal(read.code, 'unsupported-media-type', type);
    }
    assert.deepEqual(readBatch(Buffer.from('[]'), 'Application/CloudEvents-Batch+JSON; charset="UTF-8"'), []);
  });

  test('are refused whole where they are no list, or too long a one', () => {
    for (const text of ['{}', '', '[', 'null', '[{},]', `[${'0,'.repeat(10_000)}0]`]) {
      const read = readBatch(Buffer.from(text), BATCH);
      assert.ok(read instanceof MessageProblem);
      assert.equal(read.code, 'invalid-event');
    }
  });
});

test('every event survives each way into and out of a message', () => {
  const events = [
    ...JSON_BOTH_WAYS.map(([, , { attributes, data }]) => made(attributes, data)),
    ...WRITTEN_VALUES.map(([value]) => made({ ext: value }, 'x')),
  ];
  for (const event of events) {
    const expected: Event = { attributes: Object.fromEntries(event.attributes), data: event.data };
    assertEvent(readStructured(writeStructured(event), STRUCTURED), expected, 'structured');
    // Binary mode cannot tell no data from empty ones.
    const data = event.data?.length === 0 ? undefined : event.data;
    const http = writeHttpBinary(event);
    assertEvent(readHttpBinary(http.fields, http.body), { ...expected, data }, 'http');
    const nats = writeNatsBinary(event);
    assertEvent(readNats(nats.fields, nats.body), { ...expected, data }, 'nats');
  }
});

test('a Content-Type tells events and batches (http 3)', () => {
  assert.deepEqual(
    [
      'application/cloudevents+json',
      'APPLICATION/CLOUDEVENTS',
      'application/cloudevents-batch+json; a=b',
      'application/json',
      'text/application/cloudevents',
      '',
    ].map(eventMedia),
    ['event', 'event', 'batch', undefined, undefined, undefined],
  );
});

test('filters hold where one of them does, with all that it names', () => {
  const event = made({ subject: 'orders/42' });
  const matches = (
    ...filters: readonly { readonly exact?: Record<string, string>; readonly prefix?: Record<string, string> }[]
  ): boolean =>
    matchesFilters(
      event,
      filters.map(({ exact = {}, prefix = {} }) => ({ exact, prefix })),
    );
  assert.ok(matches());
  assert.ok(matches({ exact: { type: 'created' } }));
  assert.ok(matches({ exact: { type: 'gone' } }, { prefix: { subject: 'orders/' } }));
  assert.ok(!matches({ exact: { type: 'created' }, prefix: { subject: 'bills/' } }));
  assert.ok(!matches({ exact: { type: 'Created' } }), 'values have a case');
  assert.ok(!matches({ exact: { absent: '' } }));
  assert.ok(!matches({ prefix: { absent: '' } }));
});

test('the id of an event is that of its source and id together', () => {
  const id = (source: string, own: string): string => eventId(made({ source, id: own }));
  assert.equal(id('/a', '1'), eventId(made({ source: '/a', id: '1', type: 'other' }, 'data')));
  assert.equal(new Set([id('/a', '1'), id('/a', '2'), id('/b', '1'), id('/a1', ''), id('/', 'a1')]).size, 5);
  assert.match(id('/a', '1'), /^[\w-]{43}$/);
});

test('an attribute that no header could hold is refused', () => {
  for (const name of ['source', 'ext'])
    assertRefused(
      readStructured(Buffer.from(JSON.stringify({ ...REQUIRED, [name]: 'a'.repeat(40_000_000) })), STRUCTURED),
      name,
    );
});

test('a text made to be slow to read is read at once', () => {
  const startMs = performance.now();
  const long = 'a'.repeat(8000);
  for (const type of [`text/plain${' '.repeat(8000)}x`, `text/plain;${'a="b";'.repeat(1500)}`, `text/${long}`])
    readHttpBinary([...REQUIRED_HEADERS, ['content-type', type]], EMPTY);
  readStructured(Buffer.from(`${'['.repeat(5000)}${']'.repeat(5000)}`), STRUCTURED);
  readStructured(jsonWith(`"data":${'['.repeat(5000)}${']'.repeat(5000)}`), STRUCTURED);
  assert.ok(performance.now() - startMs < 1000);
});
