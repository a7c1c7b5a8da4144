/** What annotations and callers make of attempts: on what another one follows, where, when, and how long all may take. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { type Request, valueOf } from '../harness/message.ts';
import { okReply, Recorder, type Respond } from '../harness/recorder.ts';
import { refusedAddress } from '../harness/upstream.ts';

/** Timers are coarse and the machine is shared: how late something may come. */
const LATE_MS = 1500;

let mesh: Mesh;
const recorders: Recorder[] = [];

async function recorder(respond: Respond): Promise<string> {
  const made = await Recorder.start(respond);
  recorders.push(made);
  return made.upstream.address;
}

const ok: Respond = (request, connection) => connection.send(okReply(request));
const says =
  (status: number, fields = ''): Respond =>
  (_request, connection) =>
    connection.send(`HTTP/1.1 ${status} X\r\n${fields}Content-Length: 4\r\n\r\nbusy`);
const never: Respond = () => {};
/** Fails the first request for a target, and answers each further one. */
function failsFirst(status: number, fields = ''): Respond {
  const answered = new Set<string>();
  return (request, connection, index) => {
    if (answered.has(request.target)) ok(request, connection, index);
    else says(status, fields)(request, connection, index);
    answered.add(request.target);
  };
}

before(async () => {
  const of = (name: string, endpoints: readonly string[], annotations: Record<string, string>) => ({
    name,
    endpoints,
    annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`heddle.dev/${key}`, value])),
  });
  mesh = await Mesh.start({
    workers: 1,
    services: [
      of('halfbusy', [await recorder(says(503)), await recorder(ok)], {
        'retry-on': '5xx',
        'retry-backoff': '1ms..2ms',
      }),
      of('plain', [await recorder(says(503))], {}),
      of('once', [await recorder(failsFirst(502))], { 'retry-on': '502', 'retry-backoff': '1ms..2ms' }),
      of('anymethod', [await recorder(failsFirst(502))], {
        'retry-on': '502',
        'retry-methods': 'all',
        'retry-body-max': '1KiB',
        'retry-backoff': '1ms..2ms',
      }),
      of('busy', [await recorder(says(503))], {
        'retry-on': '503',
        'retry-attempts': '3',
        'retry-backoff': '1ms..2ms',
      }),
      of('nobudget', [await recorder(says(503))], {
        'retry-on': '503',
        'retry-attempts': '10',
        'retry-budget': '0% + 1/s over 2s',
        'retry-backoff': '1ms..2ms',
      }),
      of('later', [await recorder(failsFirst(503, 'Retry-After: 1\r\n'))], { 'retry-on': '503' }),
      of('muchlater', [await recorder(says(503, 'Retry-After: 60\r\n'))], { 'retry-on': '503' }),
      of('silent', [await recorder(never)], { 'timeout-request': '400ms' }),
      of('absent', [await refusedAddress()], {
        'timeout-request': '1s',
        'retry-attempts': '10',
        'retry-on': 'connect-failure',
        'retry-backoff': '900ms..901ms',
      }),
      of('trying', [await recorder(never), await recorder(ok)], {
        'timeout-try': '200ms',
        'retry-on': 'timeout-try',
        'retry-backoff': '1ms..2ms',
      }),
      of('tried', [await recorder(never)], { 'timeout-try': '200ms' }),
      of('fine', [await recorder(ok)], {}),
      of('uploads', [await recorder(ok)], { 'timeout-request': '5s' }),
      of('hurried', [await recorder(never), await recorder(ok)], {
        lb: 'round-robin',
        outlier: 'consecutive=5, base=20s',
      }),
      of('hole', [await recorder(never), await recorder(ok)], {
        'lb': 'round-robin',
        'timeout-request': '400ms',
        'outlier': 'consecutive=5, base=20s',
      }),
      of('narrow', [await recorder(never)], { 'max-in-flight': '1', 'max-queue': '1, 300ms', 'timeout-request': '5s' }),
      of('single', [await recorder(never)], { 'max-in-flight': '1', 'timeout-request': '5s' }),
    ],
  });
});
after(async () => {
  await mesh.stop();
  await Promise.all(recorders.map((one) => one.stop()));
});

function get(service: string, target: string, fields = '') {
  return exchange(mesh.port, `GET ${target} HTTP/1.1\r\nHost: ${service}.test\r\n${fields}\r\n`);
}

function post(service: string, target: string, body: string) {
  const head = `POST ${target} HTTP/1.1\r\nHost: ${service}.test\r\nContent-Length: ${body.length}\r\n\r\n`;
  return exchange(mesh.port, `${head}${body}`);
}

/** An endpoint has this of a request on a connection that is open. */
function isOpen(text: string): boolean {
  return recorders.some(({ upstream }) => upstream.open.some(({ received }) => received.includes(text)));
}

/** What endpoints got with this target. */
function seen(target: string): readonly Request[] {
  return recorders.flatMap(({ requests }) => requests).filter((request) => request.target === target);
}

describe('a status', { concurrency: 8 }, () => {
  test('that nobody asked to retry is passed on', async () => {
    assertPassed(await get('plain', '/plain'), 503, 'busy');
    assert.equal(seen('/plain').length, 1);
  });

  test('that is to be retried is seen by no client while another endpoint answers', async () => {
    for (let turn = 0; turn < 20; turn++) assertPassed(await get('halfbusy', `/half-${turn}`), 200);
  });

  test('is retried at the same endpoint where there is no other', async () => {
    assertPassed(await get('once', '/once'), 200);
    assert.equal(seen('/once').length, 2);
  });

  test('does not repeat a POST', async () => {
    assertPassed(await post('once', '/post-once', 'hello'), 502, 'busy');
    assert.equal(seen('/post-once').length, 1);
  });

  test('repeats a POST with its body where that was asked for', async () => {
    assertPassed(await post('anymethod', '/post-all', 'hello'), 200);
    assert.deepEqual(
      seen('/post-all').map(({ body }) => body),
      ['hello', 'hello'],
    );
  });

  test('does not repeat a body that is longer than what is kept', async () => {
    assertPassed(await post('anymethod', '/post-long', 'x'.repeat(1025)), 502, 'busy');
    assert.equal(seen('/post-long').length, 1);
  });

  test('is passed on after as many retries as were asked for', async () => {
    assertPassed(await get('busy', '/busy'), 503, 'busy');
    assert.equal(seen('/busy').length, 4);
  });

  test('is passed on when the budget is used up: the last real answer stands', async () => {
    const replies = await Promise.all([1, 2, 3].map(() => get('nobudget', '/nobudget')));
    for (const reply of replies) assertPassed(reply, 503, 'busy');
    const retries = seen('/nobudget').length - 3;
    assert.ok(retries <= 2, `Expected 2 retries at most (1/s over 2s), got ${retries}`);
  });

  test('with Retry-After is retried after that', async () => {
    const startMs = performance.now();
    assertPassed(await get('later', '/later'), 200);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 995 && tookMs < 1000 + LATE_MS, `took ${tookMs} ms`);
  });

  test('with a Retry-After beyond the time of the request is passed on at once', async () => {
    assertPassed(await get('muchlater', '/muchlater'), 503, 'busy');
    assert.equal(seen('/muchlater').length, 1);
  });

  test('that is retried costs no connection: what is left of the reply is read', async () => {
    const client = await Client.connect(mesh.port);
    for (let turn = 0; turn < 5; turn++) {
      client.send(`GET /kept-${turn} HTTP/1.1\r\nHost: once.test\r\n\r\n`);
      assertPassed(await client.reply(), 200);
    }
    client.destroy();
    const address = seen('/kept-4');
    assert.equal(address.length, 2);
    const owner = recorders.find(({ requests }) => requests.some(({ target }) => target === '/kept-4'))!;
    assert.ok(owner.upstream.connections.length < 6, `${owner.upstream.connections.length} connections`);
  });
});

describe('what endpoints hear of attempts', { concurrency: 8 }, () => {
  test('is how long their answer may take', async () => {
    await get('fine', '/left');
    const [request] = seen('/left');
    const left = Number(valueOf(request!, 'x-heddle-timeout-ms'));
    assert.ok(left > 14_000 && left <= 15_000, `${left}`);
  });

  test('is what is left of the time of the caller, once', async () => {
    await get('fine', '/shortened', 'x-heddle-timeout-ms: 2500\r\n');
    const [request] = seen('/shortened');
    const fields = request!.fields.filter(([name]) => name.toLowerCase() === 'x-heddle-timeout-ms');
    assert.equal(fields.length, 1);
    const left = Number(fields[0]![1]);
    assert.ok(left > 1000 && left <= 2500, `${left}`);
  });

  test('is never more than the setting says, whatever the caller claims', async () => {
    await get('fine', '/longer', 'x-heddle-timeout-ms: 999999999\r\n');
    assert.ok(Number(valueOf(seen('/longer')[0]!, 'x-heddle-timeout-ms')) <= 15_000);
  });

  test('is the same with a body that comes in one piece with its head, be there a connection or not', async () => {
    const client = await Client.connect(mesh.port);
    for (const target of ['/upload-1', '/upload-2', '/upload-3']) {
      client.send(`POST ${target} HTTP/1.1\r\nHost: uploads.test\r\nContent-Length: 5\r\n\r\nhello`);
      assertPassed(await client.reply(), 200);
      const left = Number(valueOf(seen(target)[0]!, 'x-heddle-timeout-ms'));
      assert.ok(left > 1000 && left <= 5000, `${target}: ${left}`);
    }
    client.destroy();
  });

  test('is nothing while the request still comes, whose answer nobody waits for yet', async () => {
    const client = await Client.connect(mesh.port);
    for (const target of ['/slow-1', '/slow-2']) {
      client.send(`POST ${target} HTTP/1.1\r\nHost: fine.test\r\nContent-Length: 10\r\n\r\nhello`);
      await eventually(() => isOpen(`POST ${target}`));
      client.send('world');
      assertPassed(await client.reply(), 200);
      assert.equal(valueOf(seen(target)[0]!, 'x-heddle-timeout-ms'), undefined, target);
    }
    client.destroy();
  });

  test('is nothing of a first attempt, and the number of each further one', async () => {
    await get('busy', '/numbered');
    assert.deepEqual(
      seen('/numbered').map((request) => valueOf(request, 'x-heddle-attempt')),
      [undefined, '2', '3', '4'],
    );
  });

  test('is the attempt of the hop before, which forbids our own', async () => {
    assertPassed(await get('busy', '/second', 'x-heddle-attempt: 2\r\n'), 503, 'busy');
    assert.deepEqual(
      seen('/second').map((request) => valueOf(request, 'x-heddle-attempt')),
      ['2'],
    );
  });

  test('is nothing that a caller claims of a first attempt', async () => {
    await get('busy', '/claimed', 'x-heddle-attempt: 0\r\n');
    assert.equal(seen('/claimed').length, 4);
    assert.equal(valueOf(seen('/claimed')[0]!, 'x-heddle-attempt'), undefined);
  });
});

describe('time', { concurrency: 8 }, () => {
  async function timed(asked: Promise<Awaited<ReturnType<typeof get>>>) {
    const startMs = performance.now();
    const reply = await asked;
    return { reply, tookMs: performance.now() - startMs };
  }

  test('of a request is what its Service says', async () => {
    const { reply, tookMs } = await timed(get('silent', '/silent'));
    assertFailure(reply, 'reply-timeout');
    assert.ok(tookMs >= 395 && tookMs < 400 + LATE_MS, `took ${tookMs} ms`);
  });

  test('of a request with a body is the same, however the body comes and however many attempts there are', async () => {
    const head = 'POST /absent HTTP/1.1\r\nHost: absent.test\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { reply, tookMs } = await timed(exchange(mesh.port, `${head}5\r\nhello\r\n0\r\n\r\n`));
    assertFailure(reply, 'connect-failed');
    assert.ok(tookMs < 1000 + LATE_MS, `took ${tookMs} ms`);
  });

  test('of a caller shortens it, and is told as his', async () => {
    const { reply, tookMs } = await timed(get('silent', '/caller', 'x-heddle-timeout-ms: 150\r\n'));
    assertFailure(reply, 'deadline');
    assert.ok(tookMs >= 145 && tookMs < 390, `took ${tookMs} ms`);
  });

  test('of callers, once it was long enough, speaks against an endpoint that lets it pass', async () => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 12; turn++)
      statuses.push((await get('hole', `/hole-${turn}`, 'x-heddle-timeout-ms: 300\r\n')).status);
    assert.ok(statuses.includes(504));
    assert.deepEqual(new Set(statuses.slice(-4)), new Set([200]), statuses.join(' '));
  });

  test('of callers who give little says nothing against an endpoint', async () => {
    const statuses: number[] = [];
    for (let turn = 0; turn < 24; turn++)
      statuses.push((await get('hurried', `/hurried-${turn}`, 'x-heddle-timeout-ms: 50\r\n')).status);
    assert.ok(statuses.filter((status) => status === 504).length >= 10, statuses.join(' '));
  });

  test('of a caller that is over is refused before an endpoint hears of it', async () => {
    const { reply, tookMs } = await timed(get('fine', '/over', 'x-heddle-timeout-ms: 0\r\n'));
    assertFailure(reply, 'deadline');
    assert.ok(tookMs < 500);
    assert.equal(seen('/over').length, 0);
  });

  test('that a caller writes in no form that is known is not his time', async () => {
    for (const value of ['', '-5', '1e3', '0x10', 'soon', '10ms', '99999999999'])
      assertPassed(await get('fine', '/odd', `x-heddle-timeout-ms: ${value}\r\n`), 200);
  });

  test('of one attempt ends it, and another one follows where that was asked for', async () => {
    for (let turn = 0; turn < 6; turn++) assertPassed(await get('trying', `/trying-${turn}`), 200);
  });

  test('of one attempt is answered with its own failure where nothing follows', async () => {
    const { reply, tookMs } = await timed(get('tried', '/tried'));
    assertFailure(reply, 'try-timeout');
    assert.ok(tookMs >= 195 && tookMs < 200 + LATE_MS, `took ${tookMs} ms`);
  });

  test('in the queue is bounded, and the queue is', async () => {
    const holding = await Client.connect(mesh.port);
    holding.send('GET /holding HTTP/1.1\r\nHost: narrow.test\r\n\r\n');
    await eventually(() => seen('/holding').length === 1);
    const queued = timed(get('narrow', '/queued'));
    await sleep(100);
    assertFailure((await timed(get('narrow', '/refused'))).reply, 'overload');
    const { reply, tookMs } = await queued;
    assertFailure(reply, 'queue-timeout');
    assert.ok(tookMs >= 295 && tookMs < 300 + LATE_MS, `took ${tookMs} ms`);
    assert.equal(seen('/queued').length, 0);
    holding.destroy();
    await eventually(() => recorders.some(({ upstream }) => upstream.connections.some(({ reset }) => reset)));
  });

  test('in the queue is no longer than the caller gave', async () => {
    const holding = await Client.connect(mesh.port);
    holding.send('GET /holding-too HTTP/1.1\r\nHost: single.test\r\n\r\n');
    await eventually(() => seen('/holding-too').length === 1);
    const { reply, tookMs } = await timed(get('single', '/hurried', 'x-heddle-timeout-ms: 100\r\n'));
    assertFailure(reply, 'deadline');
    assert.ok(tookMs >= 95 && tookMs < 2900, `took ${tookMs} ms`);
    holding.destroy();
  });

  test('of a client that is gone is over for its endpoint too', async () => {
    const client = await Client.connect(mesh.port);
    client.send('GET /gone HTTP/1.1\r\nHost: tried.test\r\n\r\n');
    await eventually(() => isOpen('GET /gone'));
    const startMs = performance.now();
    client.destroy();
    await eventually(() => !isOpen('GET /gone'));
    assert.ok(performance.now() - startMs < 190, 'Expected it before timeout-try ends it');
  });
});
