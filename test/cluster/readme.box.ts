import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { Box, nameOf, type PodName } from './box.ts';
import type { Finished } from './kubelet/container.ts';
import type { PodObject } from './objects.ts';
import { quoted } from './shell.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const KUBECTL = '/run/kubectl';
const LINES_SHOWN = 12;
const COMMAND_MS = 120_000;
/** Commands that go on until they are interrupted. */
const ENDLESS = /heddle tap/;
const ENDLESS_MS = 3000;

/** The commands of the section "On a cluster" of README.md, in its order, by a part of each that names it. */
const COMMANDS = commandsOf(readFileSync(path.join(ROOT, 'README.md'), 'utf8'));

function commandsOf(readme: string): readonly string[] {
  const section = /^## On a cluster\n([^]*?)^## /m.exec(readme)![1]!;
  return [...section.matchAll(/^```sh\n([^]*?)^```$/gm)]
    .flatMap(([, block]) => block!.trim().split('\n'))
    .map((line) => line.replace(/ +# .*$/, ''));
}

/**
 * What the README tells a user to do, as it stands there. Two things are not as on a cluster: images are programs of the box, so that
 * docker is left out, and `kubectl exec` and `logs` go past the kubelet. Tests build on each other, in order.
 */
describe('README, "On a cluster"', () => {
  let box: Box;
  const left = [...COMMANDS];

  before(async () => {
    box = await Box.start([{ name: 'n1', zone: 'a' }]);
    const { binary, kubeconfig } = box.controlPlane;
    writeFileSync(KUBECTL, `#!/bin/sh\nKUBECONFIG=${quoted(kubeconfig)} exec ${quoted(binary)} kubectl "$@"\n`);
    chmodSync(KUBECTL, 0o755);
  });
  after(async () => box?.stop());

  async function podOf(namespace: string, target: string): Promise<PodName> {
    const selector = await box.kubectl(['get', target, '-n', namespace, '-o', 'jsonpath={.spec.selector.matchLabels}']);
    const labels = Object.entries(JSON.parse(selector) as Record<string, string>).map(
      ([key, value]) => `${key}=${value}`,
    );
    const [pod] = (await box.pods(namespace, labels.join(','))) as [PodObject];
    return nameOf(pod);
  }

  async function run(command: string): Promise<Finished> {
    const [, namespace = '', target = '', inside = ''] = /^kubectl exec -n (\S+) (\S+) -- (.*)$/.exec(command) ?? [];
    const timeoutMs = ENDLESS.test(command) ? ENDLESS_MS : COMMAND_MS;
    if (inside !== '') return box.exec(await podOf(namespace, target), ['sh', '-c', inside], { timeoutMs });
    const [, logged = '', logger = ''] = /^kubectl logs -n (\S+) (\S+)$/.exec(command) ?? [];
    if (logger !== '') return { code: 0, stdout: box.logs(await podOf(logged, logger), 'heddle'), stderr: '' };
    return new Promise((resolve) => {
      const env = {
        ...process.env,
        PATH: `${path.dirname(KUBECTL)}:${path.dirname(process.execPath)}:${process.env['PATH']}`,
        KUBECONFIG: box.controlPlane.kubeconfig,
        HEDDLE_DIST: '1',
      };
      const options = { cwd: ROOT, env, timeout: timeoutMs };
      const child = execFile('sh', ['-c', command], options, (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? 137, stdout, stderr }),
      );
    });
  }

  /** Runs all commands up to the one that has this in it, which must be the next but for those before it. */
  async function runTo(t: TestContext, part: string): Promise<Finished> {
    const last = left.findIndex((command) => command.includes(part));
    assert.notEqual(last, -1, `Expected a command with ${part} among ${left.join('\n')}`);
    let finished: Finished | undefined;
    for (const command of left.splice(0, last + 1)) {
      if (command.startsWith('docker ')) continue;
      // In their order.
      finished = await run(command);
      const { code, stdout, stderr } = finished;
      t.diagnostic(`$ ${command}`);
      for (const line of `${stdout}${stderr}`.trimEnd().split('\n').slice(0, LINES_SHOWN)) t.diagnostic(`  ${line}`);
      assert.ok(code === 0 || ENDLESS.test(command), `Expected ${command} to succeed, got ${code}: ${stdout}${stderr}`);
    }
    return finished!;
  }

  test('check --pre says that it will work', async (t) => {
    assert.match((await runTo(t, 'check --pre')).stdout, /Nothing is wrong\n$/);
  });

  test('it is installed, and check says that it works', async (t) => {
    assert.match((await runTo(t, '-- heddle check')).stdout, /Nothing is wrong\n$/);
  });

  test('the example is not in the mesh at first, and says what to annotate', async (t) => {
    assert.match((await runTo(t, 'curl -s http://orders.shop/')).stdout, /heddle\.dev\/enabled/);
  });

  test('annotated, it is reached by HTTP_PROXY, by its bare name, and by the address of the node', async (t) => {
    for (const part of ['curl -s http://orders.shop/', 'curl -s http://orders/', '$MESH_HOST:4140/']) {
      assert.match((await runTo(t, part)).stdout, /^orders v[12] from orders-v/);
    }
  });

  test('what to look at is there', async (t) => {
    assert.match((await runTo(t, 'heddle services')).stdout, /^shop +orders +yes +3\/3 /m);
    await runTo(t, 'kubectl logs');
    await runTo(t, 'HEDDLE_ACCESS_LOG=all');
    await runTo(t, 'kubectl rollout status -n heddle');
  });

  test('it is taken away again, and every command of the section was run', async (t) => {
    await runTo(t, 'kubectl annotate services --all');
    assert.deepEqual(left, []);
    assert.doesNotMatch(
      await box.kubectl(['get', 'namespaces,clusterroles,clusterrolebindings', '-o', 'name']),
      /heddle/,
    );
  });
});
