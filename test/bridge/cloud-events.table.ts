/**
 * The rules of CloudEvents as cases, each with its section: `core` the specification 1.0.2, `http` its HTTP binding, `json` its JSON
 * format, `nats` the NATS binding that is to be 1.0.3 (the one of 1.0.2 has no binary mode).
 */

export type Headers = readonly (readonly [name: string, value: string])[];

export interface Message {
  readonly headers: Headers;
  readonly body: string | Uint8Array;
}

export interface Event {
  readonly attributes: Readonly<Record<string, string>>;
  /** Undefined: none. Text: its UTF-8. */
  readonly data: string | Uint8Array | undefined;
}

export const REQUIRED: Readonly<Record<string, string>> = {
  specversion: '1.0',
  id: '1',
  source: '/shop',
  type: 'created',
};
export const REQUIRED_HEADERS: Headers = Object.entries(REQUIRED).map(([name, value]) => [`ce-${name}`, value]);

/** Attribute values and the headers that both bindings write for them (http 3.1.3.2, nats 3.1.3.2). */
export const WRITTEN_VALUES: readonly (readonly [value: string, header: string])[] = [
  ['plain', 'plain'],
  ['', ''],
  ['a b', 'a%20b'],
  ['say "hi"', 'say%20%22hi%22'],
  ['50%', '50%25'],
  ['%20', '%2520'],
  ['Euro € 😀', 'Euro%20%E2%82%AC%20%F0%9F%98%80'],
  ['ü', '%C3%BC'],
  ['!~', '!~'],
  [String.raw`\,;'`, String.raw`\,;'`],
  ['\u00a0', '%C2%A0'],
];

/** Headers that are read beside those that we write. */
export const READ_VALUES: readonly (readonly [header: string, value: string, rule: string])[] = [
  ['a%2fb', 'a/b', 'http 3.1.3.2: lower-case digits are accepted'],
  ['%61', 'a', 'http 3.1.3.2: what is encoded without need is accepted'],
  ['a b', 'a b', 'http 3.1.3.2: older senders do not encode spaces'],
  ['"a b"', 'a b', 'http 3.1.3.2: a quoted string is taken out of its quotes'],
  [String.raw`"say \"hi\" \\"`, String.raw`say "hi" \ `.trimEnd(), 'http 3.1.3.2: and its escapes are resolved'],
  ['"a%20b"', 'a b', 'http 3.1.3.2: unquoting comes first, then one round of decoding'],
  ['a%2520b', 'a%20b', 'http 3.1.3.2: one round only'],
  ['(a)', '(a)', 'http 3.1.3.2: there are no comments'],
  [' a ', 'a', 'http 3.1.3.2: whitespace around a value is none of it'],
];

export const REFUSED_VALUES: readonly (readonly [header: string, rule: string])[] = [
  ['%C0%A0', 'http 3.1.3.2: an overlong encoding'],
  ['%ff', 'http 3.1.3.2: no UTF-8'],
  ['%ed%a0%80', 'http 3.1.3.2: a surrogate, encoded'],
  ['50%', 'http 3.1.3.2: a percent sign is encoded itself'],
  ['%4', 'http 3.1.3.2: half of an encoded byte'],
  ['%zz', 'http 3.1.3.2: no digits'],
  ['"a', 'http 3.1.3.2: a quote that is not closed'],
  [String.raw`"a\"`, 'http 3.1.3.2: an escaped quote closes nothing'],
  ['\u00e4', 'http 3.1.3.2: printable US-ASCII only'],
  ['a%00b', 'core Type System: no control characters'],
  ['a%0d%0ab', 'core Type System: no control characters'],
  ['a%C2%85b', 'core Type System: no control characters of the second range'],
  ['a%EF%BF%BFb', 'core Type System: no noncharacters'],
];

/** An attribute and a value that it may not have, in any form. */
export const REFUSED_ATTRIBUTES: readonly (readonly [name: string, value: string, rule: string])[] = [
  ['specversion', '0.3', 'core specversion'],
  ['specversion', '1', 'core specversion'],
  ['specversion', '', 'core specversion'],
  ['id', '', 'core id'],
  ['type', '', 'core type'],
  ['source', '', 'core source'],
  ['source', 'a b', 'core source: a URI-reference'],
  ['source', 'a%zz', 'core source: a URI-reference'],
  ['source', '<a>', 'core source: a URI-reference'],
  ['subject', '', 'core subject'],
  ['dataschema', '', 'core dataschema'],
  ['dataschema', '/schema', 'core dataschema: an absolute URI'],
  ['time', '2018-04-05', 'core time: RFC 3339'],
  ['time', '2018-04-05T17:31:00', 'core time: RFC 3339'],
  ['time', '2018-02-30T17:31:00Z', 'core time: a date that there is'],
  ['time', '2018-13-01T17:31:00Z', 'core time: a month that there is'],
  ['time', '2018-04-05T24:00:00Z', 'core time: RFC 3339'],
  ['time', '', 'core time'],
];

export const ACCEPTED_ATTRIBUTES: readonly (readonly [name: string, value: string])[] = [
  ['source', 'https://shop.example/orders?a=b#c'],
  ['source', 'urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66'],
  ['source', '1-555-123-4567'],
  ['source', 'http://[::1]:80/'],
  ['dataschema', 'https://shop.example/schema#v1'],
  ['time', '2018-04-05T17:31:00Z'],
  ['time', '2020-02-29T23:59:60.123456789+05:30'],
  ['time', '2018-04-05t17:31:00z'],
  ['time', `2018-04-05T17:31:00.${'1'.repeat(40)}Z`],
  ['comexampleextensionwithalongname1', 'more than 20 characters: a SHOULD only'],
  ['1', 'a digit alone'],
];

/** core datacontenttype: RFC 2046, with the spaces and comments of mail. */
export const MEDIA_TYPES: readonly string[] = [
  'text/plain; charset=us-ascii (Plain text)',
  'text/plain (text); charset=us-ascii',
  'text/plain; charset = utf-8',
  'TEXT/Plain;CharSet=utf-8',
  'application/vnd.a.b+json;',
  `application/json; profile="https://shop.example/${'a'.repeat(400)}"`,
];

export const REFUSED_NAMES: readonly (readonly [name: string, rule: string])[] = [
  ['my-ext', 'core Naming Conventions: no hyphen'],
  ['my_ext', 'core Naming Conventions: no underscore'],
  ['', 'core Naming Conventions: a name'],
  ['data', 'core Naming Conventions: reserved'],
  ['\u00fc', 'core Naming Conventions: ASCII'],
];

/** In the JSON format, both ways: what it says is what we write, but for the space between tokens. */
export const JSON_BOTH_WAYS: readonly (readonly [rule: string, json: string, event: Event])[] = [
  ['json 3: no data', '', { attributes: {}, data: undefined }],
  [
    'json 3.1.1: JSON as a value',
    '"datacontenttype":"application/json","data":{"a":[1,2]}',
    { attributes: { datacontenttype: 'application/json' }, data: '{"a":[1,2]}' },
  ],
  [
    'json 3.1.1: numbers keep all their digits, members their order',
    '"datacontenttype":"application/json","data":{"b":12345678901234567890.10,"1":1e400,"b":1}',
    { attributes: { datacontenttype: 'application/json' }, data: '{"b":12345678901234567890.10,"1":1e400,"b":1}' },
  ],
  [
    'json 3.1.1: a number',
    '"datacontenttype":"application/json","data":1.5',
    { attributes: { datacontenttype: 'application/json' }, data: '1.5' },
  ],
  [
    'json 3.1.1: null is a payload',
    '"datacontenttype":"application/json","data":null',
    { attributes: { datacontenttype: 'application/json' }, data: 'null' },
  ],
  [
    'json 3.1.2: a string is a JSON string, and is not looked into',
    String.raw`"datacontenttype":"application/json","data":"{\"a\":1}"`,
    { attributes: { datacontenttype: 'application/json' }, data: String.raw`"{\"a\":1}"` },
  ],
  [
    'json 3.1.1: +json is JSON, in any case and with parameters',
    '"datacontenttype":"Application/Geo+JSON; charset=UTF-8","data":true',
    { attributes: { datacontenttype: 'Application/Geo+JSON; charset=UTF-8' }, data: 'true' },
  ],
  [
    'json 3.1.1: text that is no JSON is a string',
    String.raw`"datacontenttype":"application/xml","data":"<much wow=\"xml\"/>"`,
    { attributes: { datacontenttype: 'application/xml' }, data: '<much wow="xml"/>' },
  ],
  [
    'json 3.1.1: empty text',
    '"datacontenttype":"text/plain","data":""',
    { attributes: { datacontenttype: 'text/plain' }, data: '' },
  ],
  [
    'json 3.1.1: bytes',
    '"datacontenttype":"application/octet-stream","data_base64":"AP8="',
    { attributes: { datacontenttype: 'application/octet-stream' }, data: Uint8Array.of(0, 255) },
  ],
  ['json 3.1.1: bytes of no type imply none', '"data_base64":"e30="', { attributes: {}, data: '{}' }],
  ['json 2.2: an Integer', '"count":5', { attributes: { count: '5' }, data: undefined }],
  ['json 2.2: the least Integer', '"count":-2147483648', { attributes: { count: '-2147483648' }, data: undefined }],
  ['json 2.2: an Integer with a minus sign is one', '"count":-0', { attributes: { count: '-0' }, data: undefined }],
  ['json 2.2: a Boolean', '"urgent":true', { attributes: { urgent: 'true' }, data: undefined }],
  ['json 2.2: a string that looks like one', '"urgent":"true"', { attributes: { urgent: 'true' }, data: undefined }],
];

export const JSON_READ: readonly (readonly [rule: string, json: string, event: Event])[] = [
  [
    'json 3.1.2: data of no type are JSON, and say so from now on',
    `"data":"I'm just a string"`,
    { attributes: { datacontenttype: 'application/json' }, data: `"I'm just a string"` },
  ],
  ['json 2.2: null is unset', '"subject":null,"unset":null', { attributes: {}, data: undefined }],
  ['json 3: null is unset for base64 too', '"data_base64":null', { attributes: {}, data: undefined }],
  [
    'json 3.1.1: text is properly encoded by its type',
    '"datacontenttype":"text/plain; charset=iso-8859-1","data":"ü"',
    { attributes: { datacontenttype: 'text/plain; charset=iso-8859-1' }, data: Uint8Array.of(0xfc) },
  ],
  [
    'RFC 8259 section 11: JSON is UTF-8 whatever its charset',
    '"datacontenttype":"application/json; charset=iso-8859-1","data":"ü"',
    { attributes: { datacontenttype: 'application/json; charset=iso-8859-1' }, data: '"ü"' },
  ],
  [
    'json 3.1.2: JSON as bytes',
    '"datacontenttype":"application/json","data_base64":"e30="',
    { attributes: { datacontenttype: 'application/json' }, data: '{}' },
  ],
  [
    'json 3.1.2: any text type',
    '"datacontenttype":"application/yaml","data":"a: 1"',
    { attributes: { datacontenttype: 'application/yaml' }, data: 'a: 1' },
  ],
  [
    'RFC 8259: escapes in names and values',
    String.raw`"sub\u006aect":"\u00fc"`,
    { attributes: { subject: 'ü' }, data: undefined },
  ],
  [
    'core Type System: a proper surrogate pair',
    String.raw`"subject":"\ud83d\ude00"`,
    { attributes: { subject: '😀' }, data: undefined },
  ],
  ['RFC 8259: space between tokens', ' \n"subject" :\t"a"\r\n', { attributes: { subject: 'a' }, data: undefined }],
];

/** Members beside the required ones, or instead of them where they have the same name. */
export const JSON_REFUSED: readonly (readonly [rule: string, json: string])[] = [
  ['json 3.1.1: data and data_base64 exclude each other', '"data":1,"data_base64":"AA=="'],
  ['json 3.1.1: even where the data are null', '"data":null,"data_base64":"AA=="'],
  ['RFC 4648: padding', '"data_base64":"AA"'],
  ['RFC 4648: the alphabet', '"data_base64":"-_=="'],
  ['json 3.1.2: base64 is a string', '"data_base64":5'],
  ['json 3.1.2: data of another type are a string', '"datacontenttype":"text/plain","data":{"a":1}'],
  ['json 3.1.2: text of an encoding that we do not write', '"datacontenttype":"text/plain; charset=utf-16","data":"a"'],
  ['json 3.1.2: text that its encoding does not have', '"datacontenttype":"text/plain; charset=iso-8859-1","data":"€"'],
  ['core datacontenttype: RFC 2046', '"datacontenttype":"json","data":1'],
  ['json 2.2: no fractions', '"count":1.5'],
  ['json 2.2: only the integer component', '"count":1.0'],
  ['json 2.2: no exponents', '"count":1e3'],
  ['core Type System: 32 bits', '"count":2147483648'],
  ['json 2.2: no objects', '"ext":{}'],
  ['json 2.2: no lists', '"ext":[]'],
  ['json 2.2: attributes of the specification are strings', '"subject":5'],
  ['core Naming Conventions: lower case', '"Subject":"a"'],
  ['core Naming Conventions: no underscore but in data_base64', '"my_ext":"a"'],
  ['core Type System: an unpaired surrogate', String.raw`"subject":"\udead"`],
  ['core Type System: control characters', String.raw`"subject":"a\nb"`],
  [
    'RFC 8259 section 4: two members of one name mean different things to different readers',
    '"subject":"a","subject":"b"',
  ],
  ['the same, spelled differently', String.raw`"subject":"a","sub\u006aect":"b"`],
];
