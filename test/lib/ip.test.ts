import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../../src/lib/ip.ts';

test('an IPv4 address is read as it is written', () => {
  assert.deepEqual(parseIp('10.0.255.1'), { address: '10.0.255.1', family: 'IPv4' });
});

test('all spellings of an IPv6 address have one text', () => {
  for (const text of ['2001:DB8:0:0:0:0:0:1', '2001:db8::0001', '2001:db8::1', '2001:0db8::0.0.0.1']) {
    assert.deepEqual(parseIp(text), { address: '2001:db8::1', family: 'IPv6' });
  }
});

test('the longest run of zeros is shortened, the first of two, and never a single one', () => {
  assert.equal(parseIp('1:0:0:2:0:0:0:3')?.address, '1:0:0:2::3');
  assert.equal(parseIp('1:0:0:2:3:0:0:4')?.address, '1::2:3:0:0:4');
  assert.equal(parseIp('1:0:2:3:4:5:6:7')?.address, '1:0:2:3:4:5:6:7');
});

test('what only some readers take for an address is none', () => {
  for (const text of [
    '',
    '10.0.1',
    '010.0.0.1',
    '0x7f000001',
    '2130706433',
    '1.2.3.4 ',
    '256.0.0.1',
    '::1%lo',
    '[::1]',
    ':::',
    '1::2::3',
    'localhost',
  ]) {
    assert.equal(parseIp(text), undefined, text);
  }
});
