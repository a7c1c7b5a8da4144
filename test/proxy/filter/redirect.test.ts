import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import type { PathMatch, Redirect } from '../../../src/model/routing.ts';
import { redirectLocation } from '../../../src/proxy/filter.ts';
import { type Head, PATH_AS_IT_IS, SLASH } from '../../../src/proxy/http.ts';
import { requestHead } from './heads.ts';

const NOTHING: Redirect = { status: 302, scheme: '', host: '', port: 0, path: undefined };
const PREFIX: PathMatch = { type: 'prefix', value: '/old' };

interface From {
  readonly host?: string;
  readonly servicePort?: number;
}

/** Where a request by authority is sent. */
function location(target: string, redirect: Partial<Redirect>, { host = 'orders.shop', servicePort = 80 }: From = {}) {
  const head = requestHead(`GET ${target} HTTP/1.1`, `host: ${host}`);
  return locationOf(head, redirect, servicePort, 'authority', head.pathStart);
}

function locationOf(
  head: Head,
  redirect: Partial<Redirect>,
  servicePort: number,
  by: 'authority' | 'path' | 'header',
  pathStart: number,
): string {
  const from = { by, pathStart, pathPrefix: pathStart === head.targetEnd ? SLASH : PATH_AS_IT_IS };
  return redirectLocation(head, { ...NOTHING, ...redirect }, from, servicePort, PREFIX);
}

describe('the Location of a redirect', () => {
  test('is the request itself but for what the redirect says', () => {
    assert.equal(location('/a/b?q=1', { host: 'example.org' }), 'http://example.org/a/b?q=1');
    assert.equal(location('/a', { scheme: 'https' }), 'https://orders.shop/a');
    assert.equal(
      location('/a?q', { path: { replace: 'path', prefix: undefined, by: '/b' } }),
      'http://orders.shop/b?q',
    );
    assert.equal(
      location('/old/x?q', { path: { replace: 'prefix', prefix: undefined, by: '/new' } }),
      'http://orders.shop/new/x?q',
    );
  });

  test('has the port of the Service, whatever port the client named', () => {
    const from = { host: 'orders.shop:4140', servicePort: 8080 };
    assert.equal(location('/a', { host: 'example.org' }, from), 'http://example.org:8080/a');
    assert.equal(location('/a', { status: 301 }, from), 'http://orders.shop:8080/a');
  });

  test('has the well-known port of a scheme that the redirect names', () => {
    assert.equal(location('/', { scheme: 'https' }, { servicePort: 8080 }), 'https://orders.shop/');
    assert.equal(location('/', { scheme: 'http' }, { servicePort: 8080 }), 'http://orders.shop/');
  });

  test('has the port that the redirect names, but for well-known ones', () => {
    assert.equal(location('/', { port: 8443 }), 'http://orders.shop:8443/');
    assert.equal(location('/', { port: 80 }, { servicePort: 8080 }), 'http://orders.shop/');
    assert.equal(location('/', { port: 443 }), 'http://orders.shop:443/');
    assert.equal(location('/', { scheme: 'https', port: 443 }), 'https://orders.shop/');
    assert.equal(location('/', { scheme: 'https', port: 80 }), 'https://orders.shop:80/');
  });

  test('keeps the brackets of an IPv6 address', () => {
    assert.equal(location('/a', { status: 301 }, { host: '[fd00::1]:80' }), 'http://[fd00::1]/a');
  });

  test('leads a request that names its Service in the path back there', () => {
    const head = requestHead('GET /_svc/shop/orders/old/x?q HTTP/1.1', 'host: node:4140');
    const pathStart = head.pathStart + '/_svc/shop/orders'.length;
    const path = { replace: 'prefix', prefix: undefined, by: '/new' } as const;
    assert.equal(locationOf(head, { path }, 80, 'path', pathStart), 'http://node:4140/_svc/shop/orders/new/x?q');
    assert.equal(locationOf(head, { host: 'example.org' }, 80, 'path', pathStart), 'http://example.org/old/x?q');
  });

  test('leads a request that names its Service in a field back to the authority that it used', () => {
    const head = requestHead('GET /old HTTP/1.1', 'host: node:4140', 'x-heddle-service: shop/orders');
    assert.equal(locationOf(head, { status: 308 }, 80, 'header', head.pathStart), 'http://node:4140/old');
  });

  test('is a path for an HTTP/1.0 client that names no host, and never looks like an authority', () => {
    const head = requestHead('GET //evil.example/x HTTP/1.0');
    assert.equal(locationOf(head, {}, 80, 'header', head.pathStart), '/.//evil.example/x');
  });

  test('is the server as a whole for OPTIONS *', () => {
    const head = requestHead('OPTIONS * HTTP/1.1', 'host: orders.shop');
    assert.equal(locationOf(head, { host: 'example.org' }, 80, 'authority', head.pathStart), 'http://example.org');
  });

  test('percent-encodes what is not of a URI', () => {
    assert.equal(
      location('/\\evil.example/<"%zz%41">?{|}^`[x]', {}),
      'http://orders.shop/%5Cevil.example/%3C%22%25zz%41%22%3E?%7B%7C%7D%5E%60%5Bx%5D',
    );
  });

  test('is a URI to the same host for whatever visible ASCII the target has', () => {
    const dice = new SeededDice(11);
    const visible = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).filter(
      (char) => char !== '#',
    );
    const special = '/\\?%@:.[]';
    for (let round = 0; round < 10_000; round++) {
      const path = Array.from({ length: Math.floor(dice.roll() * 12) }, () =>
        dice.roll() < 0.5
          ? special[Math.floor(dice.roll() * special.length)]
          : visible[Math.floor(dice.roll() * visible.length)],
      ).join('');
      const got = location(`/${path}`, { path: { replace: 'prefix', prefix: '', by: '' } });
      assert.match(got, /^http:\/\/orders\.shop\/(?:[\w\-.~!$&'()*+,;=:@/?]|%[\dA-Fa-f]{2})*$/);
      assert.equal(new URL(got).host, 'orders.shop');
    }
  });
});
