import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, type FinalReply, sleep } from '../harness/client.ts';
import { assertFailure } from '../harness/failure.ts';
import { Mesh, type ServiceSpec } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';

// What rules do to requests, from manifests to the wire. Which rule is found is for the units of the matcher and of compile.

const NAMES = ['shop', 'v1', 'v2', 'copy'] as const;
type Name = (typeof NAMES)[number];

const upstreams = {} as Record<Name, Recorder>;
let mesh: Mesh;

/** An HTTPRoute for Service shop/NAME. */
function route(name: string, rules: readonly object[]): object {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'shop' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name, port: 80 }], rules },
  };
}

const to = (name: string, more: object = {}): object => ({ name, port: 80, ...more });
const path = (value: string, type = 'PathPrefix'): object => ({ path: { type, value } });

const OBJECTS = [
  route('routed', [
    { matches: [path('/v2')], backendRefs: [to('v2')] },
    {
      matches: [{ ...path('/'), headers: [{ name: 'x-user', value: '7' }] }],
      filters: [
        {
          type: 'RequestHeaderModifier',
          requestHeaderModifier: {
            set: [{ name: 'X-Set', value: 'ours' }],
            add: [{ name: 'x-add', value: 'more' }],
            remove: ['x-gone', 'Accept'],
          },
        },
        {
          type: 'ResponseHeaderModifier',
          responseHeaderModifier: { set: [{ name: 'x-reply', value: 'ours' }], remove: ['x-secret'] },
        },
      ],
      backendRefs: [to('v1')],
    },
    {
      matches: [path('/rewritten')],
      filters: [
        {
          type: 'URLRewrite',
          urlRewrite: { hostname: 'other.example', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } },
        },
      ],
      backendRefs: [to('v1')],
    },
    {
      matches: [path('/moved')],
      filters: [
        {
          type: 'RequestRedirect',
          requestRedirect: {
            scheme: 'https',
            hostname: 'shop.example',
            statusCode: 301,
            path: { type: 'ReplaceFullPath', replaceFullPath: '/there' },
          },
        },
      ],
    },
    { matches: [path('/nowhere')], backendRefs: [to('missing')] },
    { matches: [path('/nothing')] },
  ]),
];

const SERVICES = (): ServiceSpec[] => {
  const at = (name: Name): readonly string[] => [upstreams[name].address];
  const own = (name: string, annotations: Record<string, string>): ServiceSpec => {
    return { name, namespace: 'shop', endpoints: at('shop'), annotations };
  };
  return [
    { name: 'v1', namespace: 'shop', endpoints: at('v1'), enabled: false },
    { name: 'v2', namespace: 'shop', endpoints: at('v2'), enabled: false },
    { name: 'copy', namespace: 'shop', endpoints: at('copy'), enabled: false },
    own('routed', {}),
    own('split', { 'heddle.dev/split': 'v1=90, v2=10' }),
    own('self', { 'heddle.dev/split': 'self=50, v2=50' }),
    own('half', { 'heddle.dev/split': 'half=1, v2=1' }),
    own('zero', { 'heddle.dev/split': 'v1=1, v2=0' }),
    own('matched', { 'heddle.dev/match': 'v2 if header:x-beta=1, v1 if cookie:beta=1 & method=POST' }),
    own('mirrored', { 'heddle.dev/mirror': 'copy=100%' }),
    own('aborted', { 'heddle.dev/fault': 'abort=503:100%' }),
    own('delayed', { 'heddle.dev/fault': 'delay=300ms:100%' }),
    own('slowed', { 'heddle.dev/fault': 'throttle=20KiB/s:100%' }),
    own('asked', { 'heddle.dev/fault-on-header': 'true' }),
    own('edited', {
      'heddle.dev/headers-request': 'set x-env=prod, remove x-gone',
      'heddle.dev/headers-response': 'set x-env=prod',
      'heddle.dev/rewrite': 'prefix /old=/new',
    }),
    own('elsewhere', { 'heddle.dev/redirect': '308 https://shop.example' }),
    own('explained', { 'heddle.dev/explain-on-header': 'true', 'heddle.dev/split': 'v1=1, v2=1' }),
    { ...own('sticky', { 'heddle.dev/split': 'v1=1, v2=1', 'heddle.dev/sticky': 'cookie:place' }) },
  ];
};

before(async () => {
  for (const name of NAMES) {
    upstreams[name] = await Recorder.start((request, connection) => {
      const body = request.target.startsWith('/large') ? 'x'.repeat(20_000) : `${name} ${request.target}`;
      const reply = okReply(request, body);
      connection.send(reply.replace('\r\n', '\r\nx-secret: 1\r\nx-env: test\r\n'));
    });
  }
  mesh = await Mesh.start({ services: SERVICES(), objects: OBJECTS });
});
after(async () => {
  await mesh.stop();
  await Promise.all(Object.values(upstreams).map((one) => one.stop()));
});

async function get(service: string, target = '/', more = '', method = 'GET'): Promise<FinalReply> {
  return exchange(mesh.port, `${method} ${target} HTTP/1.1\r\nHost: ${service}.shop\r\n${more}\r\n`);
}

/** Who answered. */
async function answerer(...args: Parameters<typeof get>): Promise<string> {
  const { body } = await get(...args);
  return body.split(' ')[0]!;
}

describe('an HTTPRoute', () => {
  test('sends a request by its path, and Services that it names need not be enabled', async () => {
    assert.equal(await answerer('routed', '/v2/x'), 'v2');
  });

  test('sends a request by a header and edits both heads', async () => {
    const { body, ...reply } = await get(
      'routed',
      '/x',
      'X-User: 7\r\nx-gone: 1\r\nAccept: a\r\nx-set: theirs\r\nX-Add: one\r\n',
    );
    assert.equal(body, 'v1 /x');
    const request = upstreams.v1.requests.findLast(({ target }) => target === '/x')!;
    const lines = request.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`);
    assert.equal(lines.filter((line) => /^(x-gone|accept):/.test(line)).length, 0);
    assert.deepEqual(lines.filter((line) => /^x-(set|add):/.test(line)).toSorted(), [
      'x-add: more',
      'x-add: one',
      'x-set: ours',
    ]);
    assert.equal(valueOf(reply, 'x-reply'), 'ours');
    assert.equal(valueOf(reply, 'x-secret'), undefined);
  });

  test('rewrites path and host, and the query stays', async () => {
    const { body } = await get('routed', '/rewritten/a?b=/rewritten');
    assert.equal(body, 'v1 /new/a?b=/rewritten');
    const request = upstreams.v1.requests.findLast(({ target }) => target.startsWith('/new'))!;
    assert.equal(valueOf(request, 'host'), 'other.example');
    assert.equal(valueOf(request, 'x-forwarded-host'), 'routed.shop');
  });

  test('redirects', async () => {
    const reply = await get('routed', '/moved/a?b=c');
    assert.equal(reply.status, 301);
    assert.equal(valueOf(reply, 'location'), 'https://shop.example/there?b=c');
    assert.equal(reply.body, '');
  });

  test('refuses what no rule matches', async () => {
    assertFailure(await get('routed', '/else'), 'no-rule');
  });

  test('answers 500 where its backends do not exist, or it has none', async () => {
    assertFailure(await get('routed', '/nowhere'), 'no-target');
    assertFailure(await get('routed', '/nothing'), 'no-target');
  });
});

describe('a split', () => {
  test('gives each target its share, and a target of weight 0 nothing', async () => {
    let second = 0;
    // A connection carries 1,000 requests at most.
    for (let round = 0; round < 4; round++) {
      const client = await Client.connect(mesh.port);
      for (let index = 0; index < 250; index++) {
        client.send('GET / HTTP/1.1\r\nHost: split.shop\r\n\r\n');
        if ((await client.reply()).body.startsWith('v2')) second++;
        client.send('GET / HTTP/1.1\r\nHost: zero.shop\r\n\r\n');
        assert.ok((await client.reply()).body.startsWith('v1'));
      }
      client.socket.destroy();
    }
    // 10 % of 1,000, six sigma.
    assert.ok(Math.abs(second - 100) < 6 * Math.sqrt(1000 * 0.1 * 0.9), `${second} of 1000`);
  });

  test('may name its own Service, whose endpoints it means then', async () => {
    const answerers = new Set<string>();
    for (let index = 0; index < 60; index++) answerers.add(await answerer('half'));
    assert.deepEqual([...answerers].toSorted(), ['shop', 'v2']);
  });

  test('keeps a session at its target, by a cookie that the mesh makes', async () => {
    const first = await get('sticky');
    const cookie = valueOf(first, 'set-cookie')!;
    assert.match(cookie, /^place=[^;]+; /);
    const own = first.body.split(' ')[0];
    for (let index = 0; index < 20; index++) {
      const reply = await get('sticky', '/', `Cookie: a=b; ${cookie.split(';')[0]}\r\n`);
      assert.equal(reply.body.split(' ')[0], own);
      assert.equal(valueOf(reply, 'set-cookie'), undefined);
    }
  });
});

describe('annotations', () => {
  test('match by header, cookie and method, and what fits nothing stays', async () => {
    assert.equal(await answerer('matched', '/', 'X-Beta: 1\r\n'), 'v2');
    assert.equal(await answerer('matched', '/', 'Cookie: beta=1\r\nContent-Length: 0\r\n', 'POST'), 'v1');
    assert.equal(await answerer('matched', '/', 'Cookie: beta=1\r\n'), 'shop');
  });

  test('edit both heads and rewrite a prefix', async () => {
    const reply = await get('edited', '/old/x?y', 'x-gone: 1\r\n');
    assert.equal(reply.body, 'shop /new/x?y');
    assert.deepEqual(
      reply.fields.filter(([name]) => name.toLowerCase() === 'x-env').map(([, value]) => value),
      ['prod'],
    );
    const request = upstreams.shop.requests.findLast(({ target }) => target === '/new/x?y')!;
    assert.deepEqual([valueOf(request, 'x-env'), valueOf(request, 'x-gone')], ['prod', undefined]);
  });

  test('redirect to another host with the same path', async () => {
    const reply = await get('elsewhere', '/a?b');
    assert.deepEqual([reply.status, valueOf(reply, 'location')], [308, 'https://shop.example/a?b']);
  });
});

describe('a mirror', () => {
  test("gets a copy of a request with its body, and its answer is nobody's", async () => {
    const reply = await get('mirrored', '/m', 'Content-Length: 5\r\n\r\nhello', 'POST');
    assert.equal(reply.body, 'shop /m');
    await eventually(() => upstreams.copy.requests.some(({ target }) => target === '/m'), { what: 'the copy' });
    const copy = upstreams.copy.requests.find(({ target }) => target === '/m')!;
    assert.deepEqual([copy.method, copy.body], ['POST', 'hello']);
    const request = upstreams.shop.requests.findLast(({ target }) => target === '/m')!;
    assert.equal(valueOf(copy, 'x-request-id'), valueOf(request, 'x-request-id'));
  });

  test('gets nothing of a body that is too long for it, and the request goes on', async () => {
    const body = 'x'.repeat(200_000);
    const reply = await get('mirrored', '/long', `Content-Length: ${body.length}\r\n\r\n${body}`, 'POST');
    assert.equal(reply.status, 200);
    await sleep(200);
    assert.equal(
      upstreams.copy.requests.some(({ target }) => target === '/long'),
      false,
    );
  });
});

describe('a fault', () => {
  test('aborts with the status that was asked for', async () => {
    const reply = await get('aborted');
    assert.deepEqual([reply.status, valueOf(reply, 'x-heddle-failure')], [503, 'fault-injected']);
  });

  test('delays, and the body that comes meanwhile is not lost', async () => {
    const began = performance.now();
    const reply = await get('delayed', '/d', 'Content-Length: 5\r\n\r\nhello', 'POST');
    assert.ok(performance.now() - began >= 290, `after ${performance.now() - began} ms`);
    assert.equal(reply.body, 'shop /d');
    assert.equal(upstreams.shop.requests.findLast(({ target }) => target === '/d')!.body, 'hello');
  });

  test('throttles the body of a reply, of which nothing is lost', async () => {
    const began = performance.now();
    const { body } = await get('slowed', '/large');
    assert.ok(body === 'x'.repeat(20_000));
    assert.ok(performance.now() - began > 500, `after ${performance.now() - began} ms`);
  });

  test('is had by a client where the Service allows it, and nowhere else', async () => {
    assert.equal((await get('asked', '/', 'x-heddle-fault: abort=418\r\n')).status, 418);
    assert.equal((await get('split', '/', 'x-heddle-fault: abort=418\r\n')).status, 200);
    assert.equal((await get('asked', '/', 'x-heddle-fault: nonsense\r\n')).status, 200);
  });
});

describe('x-heddle-explain', () => {
  test('tells the decision where the Service allows it, and nothing elsewhere', async () => {
    const reply = await get('explained', '/', 'x-heddle-explain: 1\r\n');
    assert.match(valueOf(reply, 'x-heddle-explain') ?? '', /Service shop\/explained.*v[12]/);
    assert.equal(valueOf(await get('explained'), 'x-heddle-explain'), undefined);
    assert.equal(valueOf(await get('split', '/', 'x-heddle-explain: 1\r\n'), 'x-heddle-explain'), undefined);
  });
});
