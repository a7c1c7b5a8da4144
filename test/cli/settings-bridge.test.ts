import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { errorsOf, type Given, parse, settingsOf } from './given-settings.ts';

describe('the bridge', () => {
  const bridge = (flags: Readonly<Record<string, string>>): unknown => settingsOf({ flags }).bridgeListen;
  const urls = (text: string): readonly string[] => settingsOf({ flags: { 'nats-url': text } }).nats.urls;

  test('listens where the mesh does, unless it is told otherwise', () => {
    assert.deepEqual(bridge({ 'mesh-listen': '127.0.0.1:8080' }), { host: '127.0.0.1', port: 4280 });
    assert.deepEqual(bridge({ 'mesh-listen': '[::1]:8080', 'bridge-listen': '9000' }), { host: '::1', port: 9000 });
    assert.deepEqual(bridge({ 'mesh-listen': '127.0.0.1:1', 'bridge-listen': '127.0.0.2:2' }), {
      host: '127.0.0.2',
      port: 2,
    });
    assert.deepEqual(bridge({ 'mesh-listen': 'off' }), { host: undefined, port: 4280 });
    assert.equal(bridge({ 'bridge-listen': 'off' }), undefined);
  });

  test('shows where it listens', () => {
    const shownOf = (flags: Readonly<Record<string, string>>): string | undefined => {
      const result = parse({ flags });
      assert.ok(result.type === 'settings');
      return result.effective.find(({ name }) => name === 'bridge-listen')?.value;
    };
    assert.equal(shownOf({}), ':4280');
    assert.equal(shownOf({ 'mesh-listen': '[::1]:80' }), '[::1]:4280');
  });

  test('knows its servers by scheme, host and port', () => {
    assert.deepEqual(urls('nats://a:4223, tls://b.c,d:4224'), ['nats://a:4223', 'tls://b.c:4222', 'nats://d:4224']);
    assert.deepEqual(urls('nats://[fd00::1]:1,[::1]'), ['nats://[fd00::1]:1', 'nats://[::1]:4222']);
    assert.deepEqual(settingsOf({ file: 'nats-url: [a, "nats://b:1"]' }).nats.urls, ['nats://a:4222', 'nats://b:1']);
    assert.deepEqual(settingsOf({ env: { HEDDLE_NATS_URL: 'a,b' } }).nats.urls, ['nats://a:4222', 'nats://b:4222']);
  });

  test('takes no other addresses', () => {
    for (const text of ['ws://a', 'a:0', 'a:65536', 'nats://', 'a/b', 'a b', 'nats://[::g]', '[fe80::1%eth0]', 'a,,b'])
      assert.match(errorsOf({ flags: { 'nats-url': text } })[0]!, /^--nats-url: Expected a NATS server as nats:/, text);
  });

  test('takes no credentials in an address, says where they belong, and does not repeat them', () => {
    for (const text of ['nats://me:secret@a:4222', 'secret@a', 'b,nats://me:secret@a']) {
      const [error = ''] = errorsOf({ flags: { 'nats-url': text } });
      assert.match(error, /--nats-user/, text);
      assert.doesNotMatch(error, /secret/, text);
    }
  });

  test('is open by a flag alone, by a word, and not by anything else', () => {
    const open = (given: Given): boolean => settingsOf(given).nats.open;
    assert.deepEqual(
      [open({ flags: { 'bridge-open': '' } }), open({ flags: { 'bridge-open': 'off' } })],
      [true, false],
    );
    assert.equal(open({ env: { HEDDLE_BRIDGE_OPEN: 'on' } }), true);
    assert.equal(open({ file: 'bridge-open: on' }), true);
    assert.deepEqual(errorsOf({ env: { HEDDLE_BRIDGE_OPEN: '1' } }), [
      'HEDDLE_BRIDGE_OPEN: Expected on or off, got "1"',
    ]);
  });

  test('is known to the server in one way', () => {
    const flags = { 'nats-creds': 'a', 'nats-nkey': 'b', 'nats-user': 'c' };
    assert.deepEqual(errorsOf({ flags }), [
      '--nats-nkey: Expected no --nats-creds beside it, got both',
      '--nats-user: Expected no --nats-creds beside it, got both',
    ]);
  });

  test('has a certificate with its key, or neither', () => {
    assert.deepEqual(errorsOf({ flags: { 'nats-tls-cert': 'a' } }), [
      '--nats-tls-cert: Expected --nats-tls-key with it, got none',
    ]);
    assert.deepEqual(errorsOf({ env: { HEDDLE_NATS_TLS_KEY: 'a' } }), [
      'HEDDLE_NATS_TLS_KEY: Expected --nats-tls-cert with it, got none',
    ]);
    const { nats } = settingsOf({ flags: { 'nats-tls-cert': 'a', 'nats-tls-key': 'b', 'nats-tls-ca': 'c' } });
    assert.deepEqual([nats.tlsCert, nats.tlsKey, nats.tlsCa], ['a', 'b', 'c']);
  });
});
