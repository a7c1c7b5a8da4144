import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reports } from '../../../src/bridge/api/reports.ts';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { sleep } from '../../harness/client.ts';
import { FakeCall } from '../streams-call.ts';

const PROBLEM = new MessageProblem('invalid-body', 'x'.repeat(400));

/** Adds reports from this number on until it is full, within reason. @returns how many. */
async function fill(reports: Reports, from: number): Promise<number> {
  for (let count = 0; count < 50_000; count++) {
    if (reports.isFull) return count;
    reports.add(from + count, PROBLEM, undefined);
    if (count % 100 === 0) await sleep(0);
  }
  return Infinity;
}

describe('reports', () => {
  test('are few that wait for a client that takes nothing', async () => {
    const call = new FakeCall({});
    call.write = () => false;
    assert.ok((await fill(new Reports(call, 'server', () => {}), 0)) < 1000);
  });

  test('that wait for the one of an earlier record have a limit, and room is told when that one came', async () => {
    const call = new FakeCall({});
    let told = 0;
    const reports = new Reports(call, 'server', () => {
      told++;
    });
    const count = await fill(reports, 1);
    assert.ok(count < 20_000);
    told = 0;
    reports.add(0, undefined, undefined);
    await sleep(0);
    assert.deepEqual([told, reports.isFull, call.text.split('\n').length - 1], [1, false, count + 1]);
  });
});
