import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { createLog, type Log } from '../../src/telemetry/log.ts';

function logInto(lines: string[], logFormat: 'json' | 'pretty' = 'json'): Log {
  return createLog({ logLevel: 'info', logFormat }, (line) => lines.push(line));
}

describe('the log', () => {
  test('hands each line over whole, with its line end', () => {
    const lines: string[] = [];
    const log = logInto(lines);
    log.info({ port: 4140 }, 'Listening');
    log.warn('x'.repeat(100 * 1024));
    assert.deepEqual(
      lines.map((line) => line.indexOf('\n') === line.length - 1),
      [true, true],
    );
    const { level, time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.deepEqual([level, typeof time, rest], [30, 'number', { port: 4140, msg: 'Listening' }]);
  });

  test('leaves out what is below its level, which may change while it runs', () => {
    const lines: string[] = [];
    const log = logInto(lines);
    log.debug('one');
    log.level = 'debug';
    log.debug('two');
    log.level = 'error';
    log.warn('three');
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
      ['two'],
    );
  });

  test('is words for people, formatted before it is handed over', () => {
    const lines: string[] = [];
    logInto(lines, 'pretty').info({ host: '::', port: 4140, list: [1] }, 'Listening');
    assert.match(
      stripVTControlCharacters(lines.join('')),
      /^\d\d:\d\d:\d\d INFO {2}Listening host=:: port=4140 list=\[1\]\n$/,
    );
  });

  test('goes on when a line is refused', () => {
    const log = createLog({ logLevel: 'info', logFormat: 'json' }, () => false);
    assert.doesNotThrow(() => {
      for (let turn = 0; turn < 1000; turn++) log.info('dropped');
    });
  });
});
