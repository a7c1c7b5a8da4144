import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { openCluster } from '../../../../src/control/discovery.ts';
import { type Access, AccessError } from '../../../../src/control/discovery/kubernetes/access.ts';
import { openAccess } from '../../../../src/control/discovery/kubernetes/way.ts';
import type { ApiServer } from '../../../harness/api-server.ts';
import { eventually } from '../../../harness/client.ts';
import { apiServer, directory, Follower, service, SERVICES } from './follower.ts';

/** Sets variables of the environment until the test ends. */
function environment(t: TestContext, values: Readonly<Record<string, string | undefined>>): void {
  const before = Object.keys(values).map((name): [string, string | undefined] => [name, process.env[name]]);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(values)) set(name, value);
  t.after(() => {
    for (const [name, value] of before) set(name, value);
  });
}

/** What a pod has of a service account; the environment leads to the server. */
function serviceAccount(t: TestContext, server: ApiServer, token: string): string {
  const path = directory(t);
  writeFileSync(join(path, 'token'), `${token}\n`);
  writeFileSync(join(path, 'ca.crt'), server.certificate);
  environment(t, { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(server.port) });
  return path;
}

async function viaFile(kubeconfig: string, context?: string): Promise<Access> {
  return openAccess({ kubeconfig, context });
}

async function assertRefused(opening: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof AccessError);
    assert.match(error.message, message);
    return true;
  });
}

/** The status of a request that needs the right token. */
async function statusBy(kubeconfig: string | undefined): Promise<number> {
  const api = await openCluster({ kubeconfig, context: undefined });
  try {
    return (await api.request('/version')).status;
  } finally {
    api.close();
  }
}

describe('the service account of a pod', () => {
  test('is enough', async (t) => {
    const server = await apiServer(t, { protocol: 'h2', token: 'first' });
    const follower = new Follower(t, undefined, { serviceAccount: serviceAccount(t, server, 'first') });
    await follower.untilState('a=1');
    assert.deepEqual(follower.status.sources, [server.url]);
  });

  test('is read anew as soon as its token is refused', async (t) => {
    const server = await apiServer(t, { protocol: 'h2', token: 'first' });
    const path = serviceAccount(t, server, 'first');
    const follower = new Follower(t, undefined, { serviceAccount: path });
    await follower.untilState('a=1');
    server.token = 'second';
    writeFileSync(join(path, 'token'), 'second');
    for (const watch of server.watches) watch.end();
    await eventually(() => server.asksFor(SERVICES, 'watch').some((ask) => ask.authorization === 'Bearer second'));
    assert.equal(follower.kind('Service').errors, 0);
  });

  for (const protocol of ['http/1.1', 'h2'] as const)
    test(`is read anew as soon as the server cannot be verified: its authority was replaced (${protocol})`, async (t) => {
      const server = await apiServer(t, { protocol, token: 'x' });
      const path = serviceAccount(t, server, 'x');
      const follower = new Follower(t, undefined, { serviceAccount: path });
      await follower.until('all to be live', () => follower.status.fresh);
      server.replaceAuthority();
      server.network.reset();
      await follower.until('failures', () => follower.kind('Service').errors >= 2);
      writeFileSync(join(path, 'ca.crt'), server.certificate);
      server.put(SERVICES, service('a', 2));
      await follower.untilState('a=2');
    });

  test('without its files is a failure that names the file, until they are there', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    serviceAccount(t, server, 'x');
    const path = directory(t);
    const follower = new Follower(t, undefined, { serviceAccount: path, timings: { staleMs: 50 } });
    await follower.until('a problem', () => follower.lines.length > 0);
    assert.match(follower.lines.join('\n'), /(token|ca\.crt): Expected a file of the service account, got ENOENT/);
    writeFileSync(join(path, 'token'), 'x');
    writeFileSync(join(path, 'ca.crt'), server.certificate);
    await follower.untilState('a=1');
  });

  test('outside of a pod is a problem that says what to give', async (t) => {
    environment(t, { KUBERNETES_SERVICE_HOST: undefined, KUBERNETES_SERVICE_PORT: undefined });
    const follower = new Follower(t, undefined);
    await follower.until('a problem', () => follower.lines.length === 1);
    assert.match(follower.lines[0]!, /^KUBERNETES_SERVICE_HOST: expected .*give a kubeconfig/);
    assert.equal(follower.status.fresh, false);
  });
});

describe('a kubeconfig', () => {
  test('gives a token', async (t) => {
    const server = await apiServer(t, { protocol: 'h2', token: 'secret' });
    assert.equal(await statusBy(server.kubeconfig()), 200);
    assert.equal(await statusBy(server.kubeconfig({ user: { token: 'wrong' } })), 401);
  });

  test('names a file with a token, which is read anew when it is refused', async (t) => {
    const server = await apiServer(t, { protocol: 'h2', token: 'secret' });
    const tokenFile = server.file('token', 'old');
    const kubeconfig = server.kubeconfig({ user: { token: undefined, tokenFile: 'token' } });
    const access = await viaFile(kubeconfig);
    const old = await access.credentials();
    assert.equal(old.headers['authorization'], 'Bearer old');
    writeFileSync(tokenFile, 'secret\n');
    access.refused(old);
    assert.equal((await access.credentials()).headers['authorization'], 'Bearer secret');
    assert.equal(await statusBy(kubeconfig), 200);
  });

  test('names a plugin, which learns that nobody is there', async (t) => {
    const server = await apiServer(t, { protocol: 'h2', token: '{"interactive":false}' });
    const script = server.file(
      'plugin.mjs',
      `const { spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
       const status = { token: JSON.stringify(spec) };
       console.log(JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status }));`,
    );
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: process.execPath, args: [script] };
    assert.equal(await statusBy(server.kubeconfig({ user: { token: undefined, exec } })), 200);
  });

  test('with a plugin that fails says what the plugin said', async (t) => {
    const server = await apiServer(t);
    const exec = { command: process.execPath, args: ['-e', 'console.error("Log in first"); process.exit(1)'] };
    const access = await viaFile(server.kubeconfig({ user: { exec } }));
    await assertRefused(access.credentials(), /kubeconfig: users\[tester\]: Expected credentials, got "Log in first"/);
  });

  test('says by which name the server is known, or that it need not be known', async (t) => {
    const server = await apiServer(t, { protocol: 'h2' });
    assert.equal(await statusBy(server.kubeconfig({ cluster: { 'tls-server-name': 'localhost' } })), 200);
    await assert.rejects(statusBy(server.kubeconfig({ cluster: { 'tls-server-name': 'other.test' } })), /other\.test/);
    const untold = { 'certificate-authority-data': undefined, 'insecure-skip-tls-verify': true };
    assert.equal(await statusBy(server.kubeconfig({ cluster: untold })), 200);
  });

  test('that is wrong is refused with its name and what is wrong', async (t) => {
    const server = await apiServer(t);
    await assertRefused(viaFile(join(directory(t), 'none')), /none: Expected a kubeconfig, got ENOENT/);
    await assertRefused(viaFile(server.file('broken', 'clusters: [{')), /broken: Expected a kubeconfig, got /);
    await assertRefused(
      viaFile(server.kubeconfig(), 'other'),
      /kubeconfig: contexts: Expected one of the contexts "test", got "other"/,
    );
    await assertRefused(viaFile(server.kubeconfig({ context: 'gone' })), /current-context: Expected one of .* "gone"/);
    await assertRefused(
      viaFile(server.kubeconfig({ cluster: { server: 'http://10.0.0.1:8080' } })),
      /clusters\[fake\]\.server: Expected an address that begins with https/,
    );
    await assertRefused(
      viaFile(server.kubeconfig({ cluster: { 'proxy-url': 'http://proxy.test' } })),
      /proxy-url: Expected an API server that is reached without a proxy/,
    );
  });

  test('keeps its secrets when it is wrong', async (t) => {
    const server = await apiServer(t);
    const secretless = async (file: string, message: RegExp): Promise<void> => {
      await assertRefused(viaFile(file), message);
      await assertRefused(viaFile(file), /^((?!hunter2).)*$/s);
    };
    const cluster = { server: 'http://me:hunter2@10.0.0.1:8080/?token=hunter2' };
    await secretless(server.kubeconfig({ cluster }), /server: Expected .* got "http:\/\/10\.0\.0\.1:8080"/);
    const proxied = { 'proxy-url': 'socks5://me:hunter2@proxy.test' };
    await secretless(server.kubeconfig({ cluster: proxied }), /proxy-url: .* got "socks5:\/\/proxy\.test"/);
    await secretless(server.file('wrong', 'users:\n- token: [hunter2\n  x'), /wrong: .* got no YAML in line 3/);
  });

  test('may be several files: the first to name something wins, and empty ones say nothing', async (t) => {
    const server = await apiServer(t, { token: 'secret' });
    const user = (token: string): object => ({ users: [{ name: 'tester', user: { token } }] });
    const { users: _, ...rest } = JSON.parse(await kubeconfigText(server)) as Record<string, unknown>;
    const files = [
      server.file('empty', ''),
      server.file('remark', '---\n# nothing yet\n'),
      server.file('first', JSON.stringify(user('secret'))),
      server.file('second', JSON.stringify({ ...rest, ...user('wrong') })),
    ];
    environment(t, { KUBECONFIG: files.join(delimiter), KUBERNETES_SERVICE_HOST: undefined });
    assert.equal(await statusBy(undefined), 200);
  });

  test('that is wrong is a problem of discovery, which goes on when it is mended', async (t) => {
    const server = await apiServer(t);
    const file = server.file('later', 'nonsense: [');
    const follower = new Follower(t, file);
    await follower.until('a problem', () => follower.lines.length === 1);
    writeFileSync(file, JSON.stringify({ ...JSON.parse(await kubeconfigText(server)) }));
    await follower.untilState('a=1');
  });

  test('is found by the variable KUBECONFIG, for those who ask a few things', async (t) => {
    const server = await apiServer(t);
    environment(t, { KUBECONFIG: server.kubeconfig(), KUBERNETES_SERVICE_HOST: undefined });
    const api = await openCluster({ kubeconfig: undefined, context: undefined });
    assert.equal(api.server, server.url);
    api.close();
  });

  test('goes before the service account of a pod, for those who ask a few things', async (t) => {
    const server = await apiServer(t);
    const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
    environment(t, { ...inPod, KUBECONFIG: server.kubeconfig(), HOME: directory(t) });
    const serverOf = async (): Promise<string> => {
      const api = await openCluster({ kubeconfig: undefined, context: undefined });
      api.close();
      return api.server;
    };
    assert.equal(await serverOf(), server.url);
    delete process.env['KUBECONFIG'];
    assert.equal(await serverOf(), 'https://10.96.0.1');
  });
});

async function kubeconfigText(server: ApiServer): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return readFile(server.kubeconfig(), 'utf8');
}
