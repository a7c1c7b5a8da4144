import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROUTES } from '../../../src/bridge/api.ts';
import { PROBLEMS } from '../../../src/bridge/problem.ts';
import { exchange } from '../../harness/client.ts';
import { valueOf } from '../../harness/message.ts';
import { problemOf, sceneFor } from './scene.ts';

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: { readonly Problem: { readonly properties: { readonly code: { enum: string[] } } } };
  };
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly description?: string }[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

describe('routes', () => {
  test('an unknown path is told the nearest one', async (t) => {
    const { call } = await sceneFor(t);
    const reply = await call('POST /v1/publsh', [], 'x');
    assert.equal(reply.status, 404);
    const { code, detail } = problemOf(reply);
    assert.equal(code, 'no-such-route');
    assert.match(String(detail), /\/v1\/publish is the nearest/);
  });

  test('another method is told which ones there are', async (t) => {
    const { call } = await sceneFor(t);
    for (const method of ['GET', 'PUT', 'OPTIONS', 'PATCH', 'post']) {
      const reply = await call(`${method} /v1/publish/a`);
      assert.equal(reply.status, 405);
      assert.equal(valueOf(reply, 'allow'), 'POST');
    }
  });

  test('HEAD is GET without the body', async (t) => {
    const { call } = await sceneFor(t);
    const get = await call('GET /v1');
    const head = await call('HEAD /v1');
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.equal(valueOf(head, 'content-length'), valueOf(get, 'content-length'));
  });

  test('on this machine no name leads here that somebody else may have', async (t) => {
    const { bridge } = await sceneFor(t);
    for (const host of ['evil.example', 'EVIL.example:4280', '127.0.0.1.evil.example', 'nats.mesh.evil.example']) {
      const reply = await exchange(bridge.port, `GET /v1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal(reply.status, 403, host);
      assert.equal(problemOf(reply)['code'], 'not-allowed');
    }
    for (const host of ['127.0.0.1:4280', '[::1]', 'localhost', 'nats.localhost', 'NATS.mesh', 'node']) {
      const reply = await exchange(bridge.port, `GET /v1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal(reply.status, 200, host);
    }
  });

  test('a segment is decoded once, and then it has to be a subject', async (t) => {
    const { call, link } = await sceneFor(t);
    assert.equal((await call('POST /v1/publish/a%2Eb', [], 'x')).status, 202);
    assert.equal((await call('POST /v1/%70ublish/c', [], 'x')).status, 202);
    assert.deepEqual(
      link.sent.map(({ subject }) => subject),
      ['a.b', 'c'],
    );
    const hostile = [
      '%ff',
      '%',
      '%zz',
      'a%20b',
      'a%0d%0aPUB%20b%200',
      'a%00',
      '%2A',
      'a.%3E',
      'a..b',
      '.a',
      'a.',
      '',
      '%24JS.API.STREAM.DELETE.A',
      '%24SYS.x',
      '_INBOX.a',
      'a%252Eb%25',
      'a%09b',
      '%C3%A4',
      'a.'.repeat(20),
      'a'.repeat(300),
    ];
    for (const segment of hostile) {
      const reply = await call(`POST /v1/publish/${segment}`, [], 'x');
      if (segment === 'a%252Eb%25')
        assert.equal(reply.status, 202, 'a percent sign is a byte of a subject like any other');
      else assert.equal(reply.status, 400, segment);
    }
    assert.equal(link.sent.length, 3);
  });

  test('parameters are checked by their schemas', async (t) => {
    const { call, link } = await sceneFor(t);
    for (const [query, expected] of [
      ['akc=stream', /ack is the nearest/],
      ['ack=all', /none, server, stream/],
      ['ack=none&ack=server', /once/],
      ['delay=soon', /90s/],
      ['at=tomorrow', /RFC 3339/],
      ['delay=1s&at=2027-01-01T00:00:00Z', /both/],
      ['delay=100000h', /within a year/],
      ['ack=%f', /percent/],
    ] as const) {
      const reply = await call(`POST /v1/publish/a?${query}`, [], 'x');
      assert.equal(reply.status, 400, query);
      assert.equal(problemOf(reply)['code'], 'invalid-parameter');
      assert.match(String(problemOf(reply)['detail']), expected);
    }
    assert.deepEqual(link.sent, []);
  });

  test('a page in a browser is refused', async (t) => {
    const { call, link } = await sceneFor(t);
    for (const header of [
      'Origin: https://evil.example',
      'Origin: null',
      'Sec-Fetch-Site: cross-site',
      'Sec-Fetch-Site: same-site',
    ]) {
      const reply = await call('POST /v1/publish/a', [header, 'Content-Type: text/plain'], 'x');
      assert.equal(reply.status, 403);
      assert.equal(problemOf(reply)['code'], 'not-allowed');
    }
    assert.deepEqual(link.sent, []);
  });

  test('the index and the description need no broker', async (t) => {
    const { call, link } = await sceneFor(t);
    link.up = false;
    assert.equal((await call('GET /v1')).status, 200);
    assert.equal((await call('GET /v1/openapi.json')).status, 200);
    assert.equal((await call('POST /v1/request/a', [], 'x')).status, 503);
  });

  test('drain ends no call that is under way', async (t) => {
    const { call, bridge } = await sceneFor(t);
    bridge.api.drain();
    assert.equal((await call('POST /v1/publish/a', [], 'x')).status, 202);
  });
});

describe('openapi.json', () => {
  test('describes every route, with each parameter and each problem', async (t) => {
    const { call } = await sceneFor(t);
    const { paths, components } = JSON.parse((await call('GET /v1/openapi.json')).body) as Description;
    for (const { method, path, operation, parameters, headers, answers } of ROUTES) {
      const described = paths[path]?.[method.toLowerCase()];
      assert.equal(described?.operationId, operation);
      const names = [...Object.keys(parameters.path), ...Object.keys(parameters.query), ...Object.keys(headers)];
      assert.deepEqual(
        described?.parameters.map(({ name }) => name),
        names,
      );
      assert.ok(described?.parameters.every(({ description }) => description !== undefined && description !== ''));
      const statuses = [...new Set(answers.map(({ status }) => String(status)))];
      assert.deepEqual(Object.keys(described?.responses ?? {}).toSorted(), [...statuses, 'default'].toSorted());
    }
    assert.deepEqual(components.schemas.Problem.properties.code.enum, Object.keys(PROBLEMS));
  });

  test('names operations once, and paths whose names are those of their parameters', () => {
    const operations = ROUTES.map(({ operation }) => operation);
    assert.equal(new Set(operations).size, operations.length);
    for (const { path, parameters } of ROUTES) {
      const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      assert.deepEqual(Object.keys(parameters.path), names);
    }
  });

  test('its paths lead somewhere', async (t) => {
    const { call, link } = await sceneFor(t);
    link.up = false;
    for (const { method, path } of ROUTES) {
      const reply = await call(`${method} ${path.replaceAll(/\{[^}]+\}/g, 'a')}`);
      assert.notEqual(reply.status, 404, path);
      assert.notEqual(reply.status, 405, path);
    }
  });
});
