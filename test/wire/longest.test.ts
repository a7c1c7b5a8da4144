import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS_LOG_FIELDS } from '../../src/model/settings.ts';
import { Client, eventually } from '../harness/client.ts';
import type { Mesh } from '../harness/mesh.ts';
import { accessLines, Watcher, withMesh } from '../harness/telemetry.ts';

/** What it costs the most room to show: each octet becomes six. */
const QUOTES = '"'.repeat(1500);
/** As much as --limit-url and --limit-head let through. */
const MORE_QUOTES = '"'.repeat(15_000);
const LINE_WAIT_MS = 5000;

/** A client that sends everything at once, and waits for as many answers. */
async function pipeline(mesh: Mesh, requests: readonly string[], status: number): Promise<void> {
  const client = await Client.connect(mesh.port);
  client.send(requests.join(''));
  const answered = (): number => client.received.split(`HTTP/1.1 ${status} `).length - 1;
  await client.until(() => answered() === requests.length, { waitMs: 10_000, what: `${requests.length} answers` });
  client.destroy();
}

const numbered = (count: number, make: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** How many requests of `numbered` have these paths, each counted once. */
function shown(paths: readonly unknown[]): number {
  return new Set(paths.map((path) => /^\/(\d+)-/.exec(String(path))?.[1]).filter((index) => index !== undefined)).size;
}

test('pipelined requests of the largest size have a line of the access log each', async () => {
  const flags = ['--access-log=all', `--access-log-fields=${ACCESS_LOG_FIELDS.join(',')}`];
  await withMesh({ services: [{ name: 'orders' }], workers: 1, flags }, async (mesh) => {
    // The detail of the failure quotes what was asked for.
    const more = `X-Heddle-Service: ${QUOTES}\r\nX-Request-Id: ${QUOTES}\r\n`;
    // Queries of many lengths, so that lines of many lengths meet the end of a buffer.
    const requests = numbered(
      30,
      (index) => `GET /${index}-${QUOTES}?${QUOTES.slice(50 * index)} HTTP/1.1\r\nHost: nobody.test\r\n${more}\r\n`,
    );
    await pipeline(mesh, requests, 404);
    const paths = (): unknown[] => accessLines(mesh).map(({ path }) => path);
    await eventually(() => shown(paths()) === requests.length, { what: 'each line', waitMs: LINE_WAIT_MS }).catch(
      () => {},
    );
    assert.equal(shown(paths()), requests.length);
    for (const { query, detail } of accessLines(mesh)) {
      assert.match(String(query), /^"{50,1024}$/);
      assert.ok(String(detail).length > 500, `Expected a long detail, got ${String(detail)}`);
    }
  });
});

test('a tap shows each of 30 pipelined exchanges with the longest heads', async () => {
  const flags = ['--admin-listen=127.0.0.1:0', '--access-log=off'];
  await withMesh({ services: [{ name: 'orders' }], workers: 1, flags }, async (mesh) => {
    const watcher = await Watcher.start(mesh);
    const requests = numbered(
      30,
      (index) =>
        `GET /${index}-${MORE_QUOTES} HTTP/1.1\r\nHost: nobody.test\r\nX-Heddle-Service: ${MORE_QUOTES}\r\n\r\n`,
    );
    await pipeline(mesh, requests, 404);
    await eventually(() => watcher.records.length + watcher.dropped >= requests.length, {
      what: 'each exchange',
      waitMs: LINE_WAIT_MS,
    }).catch(() => {});
    assert.deepEqual([shown(watcher.records.map(({ path }) => path)), watcher.dropped], [requests.length, 0]);
    watcher.stop();
  });
});
