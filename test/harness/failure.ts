import assert from 'node:assert/strict';
import { FAILURES, type FailureCode } from '../../src/model/failure.ts';
import { valueOf, type Reply } from './message.ts';

/** Insists on a reply made by the mesh for this failure: status, code and problem document (RFC 9457) agree. */
export function assertFailure(reply: Reply, code: FailureCode): Problem {
  assert.deepEqual(reply.faults, []);
  assert.deepEqual(
    { status: reply.status, code: valueOf(reply, 'x-heddle-failure') },
    { status: FAILURES[code].status, code },
  );
  assert.match(valueOf(reply, 'content-type') ?? '', /^application\/problem\+json/);
  assert.ok(reply.complete, 'Expected a complete reply');
  const problem = JSON.parse(Buffer.from(reply.body, 'latin1').toString('utf8')) as Problem;
  assert.equal(problem.status, reply.status);
  return problem;
}

export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly detail?: string;
}

/** Insists on a reply of the endpoint, passed on as it is. */
export function assertPassed(reply: Reply, status = 200, body?: string): void {
  assert.deepEqual(reply.faults, []);
  assert.equal(
    reply.status,
    status,
    `Expected ${status}, got ${reply.line} ${valueOf(reply, 'x-heddle-failure')} ${reply.body.slice(0, 300)}`,
  );
  assert.equal(valueOf(reply, 'x-heddle-failure'), undefined);
  assert.ok(reply.complete, 'Expected a complete reply');
  if (body !== undefined) assert.equal(reply.body, body);
}
