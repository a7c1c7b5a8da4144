import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeadPool } from '../../src/proxy/http.ts';
import { ownReply } from '../../src/proxy/reply.ts';

describe('a reply of our own', () => {
  test('is whole, however long the Location that a client made us write', () => {
    const location = `http://orders.shop/${'%22'.repeat(65_536)}`;
    const head = ownReply(new HeadPool(100), 302, [
      ['location', location],
      ['content-length', '0'],
    ]);
    assert.equal(head.status, 302);
    assert.equal(head.count, 2);
    assert.equal(head.value(0), location);
    assert.equal(head.contentLength, 0);
  });
});
