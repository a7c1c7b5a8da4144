import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal } from '../../src/control/compile/address.ts';
import { parseIp } from '../../src/lib/ip.ts';

function refusalOf(text: string, loopback: 'allow' | 'refuse' = 'allow'): string | undefined {
  return refusal(parseIp(text)!.address, { loopback });
}

for (const text of [
  'fd00:ec2::254',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
  '100.100.100.200',
  '168.63.129.16',
  '64:ff9b::100.100.100.200',
]) {
  test(`${text} is refused as the address of a cloud metadata service`, () => {
    assert.equal(refusalOf(text), 'the address of a cloud metadata service');
  });
}

for (const text of [
  '::ffff:10.0.0.1',
  '::ffff:0:10.0.0.1',
  '::10.0.0.1',
  '::2',
  '64:ff9b:1::a00:1',
  '64:ff9b:1:ffff::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
]) {
  test(`${text} is refused as an IPv4 address within IPv6`, () => {
    assert.equal(refusalOf(text), 'an IPv4 address within IPv6');
  });
}

test('an IPv4 address behind NAT64 is judged as that address', () => {
  assert.equal(refusalOf('64:ff9b::169.254.169.254'), 'a link-local address');
  assert.equal(refusalOf('64:ff9b::'), 'an unspecified address');
  assert.equal(refusalOf('64:ff9b::224.0.0.1'), 'a multicast address');
  assert.equal(refusalOf('64:ff9b::255.255.255.255'), 'a reserved or broadcast address');
  assert.equal(refusalOf('64:ff9b::10.0.0.1', 'refuse'), undefined);
});

test('loopback is refused only where that is asked for, behind NAT64 too', () => {
  for (const text of ['127.0.0.1', '::1', '64:ff9b::127.0.0.1']) {
    assert.equal(refusalOf(text), undefined, text);
    assert.equal(refusalOf(text, 'refuse'), 'a loopback address', text);
  }
});

test('neighbours of what is refused are not', () => {
  for (const text of ['::1:0:0', 'fd00:c1::a9fe:a9ff', 'fd00:42::43', '64:ff9b:2::1', '2003::1', '2001::1', 'fd00::1'])
    assert.equal(refusalOf(text, 'refuse'), undefined, text);
});
