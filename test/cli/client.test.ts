import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import { AdminClient, AdminError } from '../../src/cli/client.ts';
import type { TapRecord } from '../../src/model/admin.ts';
import { eventually } from '../harness/client.ts';
import { FakeAdmin, service, tapOf, tapRecord, type FakeAnswer } from './fake-admin.ts';

async function clientOf(
  context: TestContext,
  answers: Readonly<Record<string, FakeAnswer>>,
): Promise<{ admin: FakeAdmin; client: AdminClient }> {
  const admin = await FakeAdmin.start(answers);
  context.after(() => admin.stop());
  return { admin, client: new AdminClient(admin.url) };
}

describe('an answer', () => {
  test('of the right form is handed over as it came, with what a newer node adds', async (context) => {
    const answer = { generation: 7, services: [{ ...service('orders'), colour: 'blue' }], newer: true };
    const { client } = await clientOf(context, { '/services': answer });
    assert.deepEqual(await client.services(), answer);
  });

  for (const [what, answer, message] of [
    ['that is no JSON', '<html>', /expected JSON, got something else/],
    ['that is another JSON', '[]', /expected an object, got a list/],
    ['without a member', { generation: 7 }, /services: expected a list, got nothing/],
    [
      'with a member of another type',
      { generation: 7, services: [service('a'), { ...service('b'), endpointsUsed: '2\u001b[2J' }] },
      /services\[1\]\.endpointsUsed: expected a number, got "2\\u001b\[2J"/,
    ],
    ['with a number that none is', '{"generation":1e999,"services":[]}', /generation: expected a number, got Infinity/],
  ] as const) {
    test(`${what} is refused with the place`, async (context) => {
      const { client } = await clientOf(context, { '/services': answer });
      await assert.rejects(client.services(), { name: 'AdminError', message });
    });
  }

  test('that refuses is told with its reason, harmless and in part', async (context) => {
    const { client } = await clientOf(context, {
      '/services': (_request, response) => response.writeHead(421).end(`\u001b[2J${'x'.repeat(100_000)}`),
    });
    const error = await client.services().catch((reason: unknown) => reason);
    assert.ok(error instanceof AdminError);
    assert.match(error.message, /answers GET \/services with status 421: \\u001b\[2Jx+$/);
    assert.ok(error.message.length < 400);
  });

  test('without end is not collected for ever', async (context) => {
    const { client } = await clientOf(context, {
      '/services': (_request, response) => {
        const chunk = Buffer.alloc(1024 * 1024, 0x20);
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more);
        more();
      },
    });
    await assert.rejects(client.services(), /expected an answer of at most \d+ bytes, got more/);
  });

  test('that comes one octet at a time is not waited for', async (context) => {
    const admin = await FakeAdmin.start({
      '/services': (_request, response) => {
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
      },
    });
    context.after(() => admin.stop());
    await assert.rejects(new AdminClient(admin.url, 300).services(), /Nothing answers at .* \(no answer in time\)/);
  });

  test('that is cut is an error', async (context) => {
    const { client } = await clientOf(context, {
      '/services': (_request, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{');
        setImmediate(() => response.destroy());
      },
    });
    await assert.rejects(client.services(), { name: 'AdminError', message: /Nothing answers/ });
  });
});

test('an address that is none is refused', () => {
  for (const url of [
    '',
    'localhost',
    '127.0.0.1:4192',
    'https://127.0.0.1',
    'http://h/path',
    'http://u:p@h',
    'http://h?q',
  ]) {
    assert.throws(() => new AdminClient(url), TypeError, url);
  }
});

test('where nothing listens, that and what to do is said', async () => {
  const admin = await FakeAdmin.start();
  const { url } = admin;
  admin.stop();
  await assert.rejects(new AdminClient(url).stats(), {
    name: 'AdminError',
    message: new RegExp(
      `^Nothing answers at ${url} \\(ECONNREFUSED\\): is a node running here\\?\nIn a cluster: kubectl exec`,
    ),
  });
});

describe('a tap', () => {
  test('asks with its filter and hands over what comes, until it is aborted', async (context) => {
    const records = [tapRecord(), tapRecord({ path: '/\u2028' })];
    const { admin, client } = await clientOf(context, { '/tap': tapOf(...records) });
    const end = new AbortController();
    const got: TapRecord[] = [];
    const filter = { service: 'shop/orders', status: '5xx', failedOnly: true, sample: 0.1 };
    await client.tap(
      filter,
      (record) => {
        got.push(record);
        if (got.length === records.length) end.abort();
      },
      end.signal,
    );
    assert.deepEqual(got, records);
    assert.deepEqual(admin.asked, ['GET /tap?service=shop%2Forders&status=5xx&failedOnly=true&sample=0.1']);
  });

  test('understands events in whatever pieces they come', async (context) => {
    const bytes = Buffer.from(
      `: hello\r\n\r\nevent: dropped\r\ndata: {"count":3}\r\n\r\ndata: ${JSON.stringify(tapRecord({ path: '/日本' }))}\r\n\r\n`,
    );
    const { client } = await clientOf(context, {
      '/tap': (_request, response) => {
        void (async () => {
          for (const byte of bytes) {
            response.write(Buffer.of(byte));
            await sleep(0);
          }
        })();
      },
    });
    const end = new AbortController();
    const got: (string | number)[] = [];
    await client.tap(
      {},
      ({ path }) => {
        got.push(path);
        end.abort();
      },
      end.signal,
      (count) => got.push(count),
    );
    assert.deepEqual(got, [3, '/日本']);
  });

  test('that the node ends is an error', async (context) => {
    const { client } = await clientOf(context, { '/tap': 'data: \n\n' });
    await assert.rejects(
      client.tap({}, () => {}, new AbortController().signal),
      /expected JSON|has ended the stream/,
    );
  });

  test('with an event without end is given up', async (context) => {
    const { client } = await clientOf(context, { '/tap': tapOf(`data: ${'x'.repeat(2_000_000)}`) });
    await assert.rejects(
      client.tap({}, () => {}, new AbortController().signal),
      /expected events of at most/,
    );
  });

  test('reads no more while its reader is slow', async (context) => {
    let written = 0;
    const { client } = await clientOf(context, {
      '/tap': (_request, response) => {
        const event = `data: ${JSON.stringify(tapRecord({ detail: 'x'.repeat(10_000) }))}\n\n`;
        const more = (): void => {
          do written++;
          while (!response.destroyed && response.write(event));
        };
        response.on('drain', more);
        more();
      },
    });
    const end = new AbortController();
    let got = 0;
    const tap = client.tap(
      {},
      async () => {
        got++;
        await sleep(3_600_000, undefined, { signal: end.signal }).catch(() => {});
      },
      end.signal,
    );
    await eventually(() => got === 1, { what: 'a record' });
    // The sockets in between fill first.
    for (let before = -1; before !== written; await sleep(300)) before = written;
    assert.ok(written < 5000, `Expected the node to be held up, got ${written} records of 10 kB from it`);
    assert.equal(got, 1);
    end.abort();
    await tap;
  });
});
