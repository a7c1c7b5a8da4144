import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeSettings } from '../../src/cli/settings.ts';
import { ACCESS_LOG_FIELDS_DEFAULT } from '../../src/model/settings.ts';
import { errorsOf, parse, settingsOf } from './given-settings.ts';

describe('defaults', () => {
  test('without any wish every setting has the documented default', () => {
    assert.deepEqual(settingsOf({}), {
      discovery: { from: 'files', manifests: ['shop'] },
      nodeName: 'loom',
      zone: undefined,
      externalName: 'refuse',
      clusterDomain: 'cluster.local',
      meshListen: { host: undefined, port: 4140 },
      probeListen: { host: undefined, port: 4191 },
      adminListen: { host: '127.0.0.1', port: 4192 },
      bridgeListen: { host: undefined, port: 4280 },
      nats: {
        urls: [],
        creds: undefined,
        nkey: undefined,
        user: undefined,
        tlsCa: undefined,
        tlsCert: undefined,
        tlsKey: undefined,
        tokenKey: undefined,
        open: false,
      },
      workers: 4,
      accept: 'handover',
      trustForwardedFrom: [],
      logLevel: 'info',
      logFormat: 'json',
      accessLog: 'errors',
      accessLogFields: ACCESS_LOG_FIELDS_DEFAULT,
      otlpEndpoint: undefined,
      traceSample: 0.01,
      drainTimeoutMs: 25_000,
      drainAcceptMs: 5_000,
      limits: {
        head: 32_768,
        headers: 100,
        url: 16_384,
        chunkExtension: 4096,
        trailers: 8192,
        connections: 10_000,
        connectionsPerSource: 1000,
        requestsPerConnection: 1000,
        connectionAgeMs: 600_000,
        upstreamConnections: 256,
        pending: 1024,
        buffer: 65_536,
        retryBody: 65_536,
        mirrors: 100,
        workerHeap: 512 * 1024 ** 2,
        heap: 0.9,
        loopDelayMs: 200,
      },
      timeouts: {
        headMs: 10_000,
        detectMs: 5_000,
        requestMs: 15_000,
        idleMs: 60_000,
        streamIdleMs: 300_000,
        connectMs: 1_000,
        keepaliveMs: 75_000,
        upstreamKeepaliveMs: 4_000,
      },
    });
  });

  test('on one core one worker runs', () => assert.equal(settingsOf({ machine: { cores: 1 } }).workers, 1));

  test('a terminal gets pretty logs', () =>
    assert.equal(settingsOf({ machine: { terminal: true } }).logFormat, 'pretty'));

  test('the node is named by NODE_NAME before the host name', () => {
    assert.equal(settingsOf({ env: { NODE_NAME: 'worker-3' } }).nodeName, 'worker-3');
  });

  test('a host name with blanks still gives a node name', () => {
    assert.equal(settingsOf({ machine: { hostName: "Mary's Loom" } }).nodeName, "Mary's-Loom");
  });
});

describe('precedence', () => {
  const flags = { workers: '1' };
  const env = { HEDDLE_WORKERS: '2' };
  const file = 'workers: 3';

  test('a flag wins over the environment, the environment over the file, the file over the default', () => {
    assert.deepEqual(
      [{ flags, env, file }, { env, file }, { file }, {}].map((given) => settingsOf(given).workers),
      [1, 2, 3, 4],
    );
  });

  test('the origin of each value is known', () => {
    const origins = [{ flags, env, file }, { env, file }, { file }, {}].map((given) => {
      const result = parse(given);
      return result.type === 'settings' ? result.effective.find(({ name }) => name === 'workers')?.origin : result;
    });
    assert.deepEqual(origins, ['flag', 'environment', 'file', 'default']);
  });

  test('an empty variable counts as absent', () =>
    assert.equal(settingsOf({ env: { HEDDLE_WORKERS: '' } }).workers, 4));

  test('of a flag given twice the last one counts', () =>
    assert.equal(settingsOf({ flags: { workers: ['1', '2'] } }).workers, 2));

  test('a list flag given twice adds up, and takes commas', () => {
    assert.deepEqual(settingsOf({ flags: { manifests: ['a', 'b,c'] } }).discovery, {
      from: 'files',
      manifests: ['a', 'b', 'c'],
    });
  });

  test('a list comes from a variable by comma and from a file as a YAML list', () => {
    assert.deepEqual(settingsOf({ flags: { manifests: [] }, env: { HEDDLE_MANIFESTS: 'a, b' } }).discovery, {
      from: 'files',
      manifests: ['a', 'b'],
    });
    assert.equal(settingsOf({ file: 'trust-forwarded-from: [10.0.0.0/8, "fd00::/8"]' }).trustForwardedFrom.length, 2);
  });
});

describe('values', () => {
  test('listen addresses take IPv4, IPv6 in brackets, a port alone, port 0 and off', () => {
    const listen = (text: string): unknown => settingsOf({ flags: { 'mesh-listen': text } }).meshListen;
    assert.deepEqual(listen('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
    assert.deepEqual(listen('[::]:4140'), { host: '::', port: 4140 });
    assert.deepEqual(listen(':4141'), { host: undefined, port: 4141 });
    assert.deepEqual(listen('0'), { host: undefined, port: 0 });
    assert.equal(listen('off'), undefined);
  });

  test('a port alone keeps the admin side on loopback', () => {
    assert.deepEqual(settingsOf({ flags: { 'admin-listen': '9000' } }).adminListen, { host: '127.0.0.1', port: 9000 });
  });

  test('names, bare IPv6 and ports out of range are no listen addresses', () => {
    for (const text of [
      'localhost:80',
      '::1:80',
      '[::g]:80',
      '1.2.3.4:65536',
      '1.2.3.4',
      '[1.2.3.4]:80',
      '[]:80',
      'of',
    ]) {
      assert.equal(errorsOf({ flags: { 'mesh-listen': text } }).length, 1, text);
    }
  });

  test('address blocks take a prefix or one address', () => {
    assert.deepEqual(
      settingsOf({ flags: { 'trust-forwarded-from': '10.0.0.0/8,fd00::/8,10.1.2.3' } }).trustForwardedFrom,
      [
        { address: '10.0.0.0', prefix: 8, family: 'ipv4' },
        { address: 'fd00::', prefix: 8, family: 'ipv6' },
        { address: '10.1.2.3', prefix: 32, family: 'ipv4' },
      ],
    );
    for (const text of [
      '10.0.0.0/33',
      '10.0.0/8',
      'fd00::/129',
      '10.0.0.0/8/8',
      '10.0.0.0/',
      'a',
      '10.0.0.0/8,,::1',
      'fe80::1%eth0',
    ]) {
      assert.equal(errorsOf({ flags: { 'trust-forwarded-from': text } }).length, 1, text);
    }
  });

  test('0s takes the end off where that is allowed', () => {
    assert.equal(settingsOf({ flags: { 'timeout-request': '0s' } }).timeouts.requestMs, Number.POSITIVE_INFINITY);
    assert.match(
      errorsOf({ flags: { 'timeout-head': '0s' } })[0]!,
      /^--timeout-head: Expected a duration from 100ms to 10m, got "0s"$/,
    );
  });

  test('the cluster domain is compared in small letters and without its dot', () => {
    assert.equal(settingsOf({ flags: { 'cluster-domain': 'Cluster.Local.' } }).clusterDomain, 'cluster.local');
    assert.equal(errorsOf({ flags: { 'cluster-domain': 'a..b' } }).length, 1);
  });

  test('a default gives way to the limit that the user lowered, a wish does not', () => {
    assert.equal(settingsOf({ flags: { 'limit-head': '8KiB' } }).limits.url, 8192);
    assert.deepEqual(errorsOf({ flags: { 'limit-head': '8KiB', 'limit-url': '9KiB' } }), [
      '--limit-url: Expected no more than --limit-head, got more',
    ]);
  });
});

describe('errors', () => {
  test('a bad value is told with its place, what is allowed and what was got', () => {
    assert.deepEqual(errorsOf({ flags: { workers: '65' } }), [
      '--workers: Expected a whole number from 1 to 64, got "65"',
    ]);
    assert.deepEqual(errorsOf({ env: { HEDDLE_LIMIT_HEAD: '32KB' } }), [
      'HEDDLE_LIMIT_HEAD: Expected a size from 1KiB to 64KiB, got "32KB"',
    ]);
    assert.deepEqual(errorsOf({ file: '# mine\naccept: both\n' }), [
      'heddle.yaml:2: accept: Expected handover, reuseport, got "both"',
    ]);
  });

  test('all errors are told at once', () => {
    const given = { flags: { workers: '0' }, env: { HEDDLE_ACCEPT: 'x' }, file: 'limit-head: 1\ntimeout-head: 5\n' };
    assert.equal(errorsOf(given).length, 4);
  });

  test('a flag without its value is told', () => {
    assert.deepEqual(errorsOf({ flags: { workers: '' } }), [
      '--workers: Expected a whole number from 1 to 64, got nothing',
    ]);
  });

  test('a setting of a later version is known and refused, from each source', () => {
    const given = { flags: { 'timeout-tls-handshake': '1s' }, env: { HEDDLE_SECRETS_DIR: 'x' } };
    assert.deepEqual(errorsOf(given), [
      '--timeout-tls-handshake: Is known, but comes with a later version (TLS)',
      'HEDDLE_SECRETS_DIR: Is known, but comes with a later version (signed deliveries)',
    ]);
  });

  test('a share is a percentage, and nothing else', () => {
    assert.equal(settingsOf({ flags: { 'trace-sample': '12.5%' } }).traceSample, 0.125);
    for (const text of ['0.5', '101%', '1.2345%', '-1%', '%']) {
      assert.match(
        errorsOf({ flags: { 'trace-sample': text } })[0]!,
        /^--trace-sample: Expected a share from 0% to 100%/,
      );
    }
  });

  test('the access log is off, for errors, for all, or for one in so many', () => {
    const logs = ['off', 'errors', 'all', '1/50'].map(
      (text) => settingsOf({ flags: { 'access-log': text } }).accessLog,
    );
    assert.deepEqual(logs, ['off', 'errors', 1, 50]);
    assert.match(errorsOf({ flags: { 'access-log': '1/0' } })[0]!, /^--access-log: Expected off, errors, all, or 1\/N/);
  });

  test('the collector of traces is an HTTP address without secrets', () => {
    assert.equal(settingsOf({ flags: { 'otlp-endpoint': 'http://otel:4318' } }).otlpEndpoint, 'http://otel:4318/');
    for (const text of ['otel:4318', 'ftp://otel', 'http://me:secret@otel', 'http://otel/?key=1'])
      assert.match(errorsOf({ flags: { 'otlp-endpoint': text } })[0]!, /^--otlp-endpoint: Expected an http/);
  });

  test("a command's own defaults stand below everything that a user says", () => {
    const defaults = new Map([['mesh-listen', '127.0.0.1:4140']]);
    assert.equal(settingsOf({ defaults, env: { HEDDLE_MESH_LISTEN: '' } }).meshListen?.host, '127.0.0.1');
    assert.equal(settingsOf({ defaults, file: 'mesh-listen: 127.0.0.2:1' }).meshListen?.host, '127.0.0.2');
  });
});

describe('the source of Services', () => {
  const NONE = { manifests: [] };
  const inPod = { inPod: true };
  const IN_CLUSTER = {
    from: 'kubernetes',
    kubeconfig: undefined,
    context: undefined,
    snapshotFile: undefined,
    snapshotMaxAgeMs: 3_600_000,
  };

  test('is the cluster of the pod that Heddle runs in, where nothing else is said', () => {
    assert.deepEqual(settingsOf({ flags: NONE, machine: inPod }).discovery, IN_CLUSTER);
  });

  test('is that of a kubeconfig that is given', () => {
    const flags = { ...NONE, 'kubeconfig': 'k', 'context': 'dev', 'snapshot-file': 's', 'snapshot-max-age': '5m' };
    assert.deepEqual(settingsOf({ flags }).discovery, {
      from: 'kubernetes',
      kubeconfig: 'k',
      context: 'dev',
      snapshotFile: 's',
      snapshotMaxAgeMs: 300_000,
    });
  });

  test('is the manifests that are given, in a pod too', () => {
    assert.equal(settingsOf({ machine: inPod }).discovery.from, 'files');
  });

  test('is what --discovery says where both are given', () => {
    const flags = { manifests: 'shop', kubeconfig: 'k' };
    for (const discovery of ['files', 'kubernetes'])
      assert.equal(settingsOf({ flags: { ...flags, discovery } }).discovery.from, discovery);
    assert.deepEqual(errorsOf({ flags }), [
      '--discovery: Expected kubernetes or files where --manifests and --kubeconfig are given, got none',
    ]);
  });

  test('that nobody names is an error that says what to give; KUBECONFIG names none', () => {
    assert.deepEqual(errorsOf({ flags: NONE, env: { KUBECONFIG: 'k' } }), [
      '--discovery: Expected a source of Services: --manifests DIR, or --kubeconfig FILE for a cluster (in a pod its service account will do); got none',
    ]);
  });

  test('must have what it needs', () => {
    assert.match(
      errorsOf({ flags: { ...NONE, discovery: 'files' } })[0]!,
      /^--manifests: Expected at least one folder/,
    );
    assert.match(errorsOf({ flags: { discovery: 'kubernetes' } })[0]!, /^--kubeconfig: Expected a file .* got none$/);
    assert.match(
      errorsOf({ flags: { ...NONE, context: 'dev' }, machine: inPod })[0]!,
      /^--context: Expected the --kubeconfig that it is of, got none$/,
    );
  });

  test('is not missed where the settings file that may name it cannot be read', () => {
    assert.equal(errorsOf({ flags: { ...NONE, config: 'x.yaml' } }).length, 1);
  });

  test('is shown as it was chosen', () => {
    const result = parse({ flags: { ...NONE, kubeconfig: 'k' } });
    assert.ok(result.type === 'settings');
    assert.deepEqual(
      result.effective.find(({ name }) => name === 'discovery'),
      { name: 'discovery', value: 'kubernetes', origin: 'default' },
    );
  });
});

describe('settings file', () => {
  test('an unknown key is an error that suggests the near miss', () => {
    assert.deepEqual(errorsOf({ file: '\nlimit-hed: 5' }), [
      'heddle.yaml:2: limit-hed: No such setting; did you mean limit-head?',
    ]);
  });

  test('values that YAML does not keep as text are read as they are written', () => {
    assert.equal(settingsOf({ file: 'workers: 2' }).workers, 2);
    assert.deepEqual(errorsOf({ file: 'workers: 0x2' }), [
      'heddle.yaml:1: workers: Expected a whole number from 1 to 64, got "0x2"',
    ]);
    assert.equal(settingsOf({ file: 'mesh-listen: off' }).meshListen, undefined);
  });

  test('a key without value, a nested value, a list of nothing and a key given twice are errors with their line', () => {
    assert.match(errorsOf({ file: 'workers:' })[0]!, /^heddle\.yaml:1: workers: Expected a value/);
    assert.match(errorsOf({ file: 'limit:\n  head: 1' })[0]!, /^heddle\.yaml:1: limit: Expected a value/);
    assert.match(errorsOf({ file: 'workers: 1\nworkers: 2' })[0]!, /^heddle\.yaml:2: Expected YAML/);
    assert.match(errorsOf({ file: 'workers: []' })[0]!, /^heddle\.yaml:1: workers: Expected/);
  });

  test('what is no mapping, or no YAML, is one error', () => {
    assert.match(errorsOf({ file: '- workers' })[0]!, /^heddle\.yaml:1: Expected lines of the form/);
    assert.match(errorsOf({ file: 'a: [' })[0]!, /^heddle\.yaml:1: Expected YAML/);
  });

  test('an empty file is a file', () => assert.equal(settingsOf({ file: '' }).workers, 4));

  test('a file that cannot be read is an error of the place that named it', () => {
    assert.match(errorsOf({ flags: { config: 'x.yaml' } })[0]!, /^--config: .*ENOENT/);
    assert.match(errorsOf({ env: { HEDDLE_CONFIG: 'x.yaml' } })[0]!, /^HEDDLE_CONFIG: .*ENOENT/);
  });

  test('a settings file cannot name another one', () => {
    assert.deepEqual(errorsOf({ file: 'config: b.yaml' }), [
      'heddle.yaml:1: config: A settings file cannot name another one',
    ]);
  });
});

describe('variables', () => {
  function warningsOf(env: NodeJS.ProcessEnv): readonly string[] {
    const result = parse({ env });
    assert.ok(result.type === 'settings');
    return result.warnings;
  }

  test('an unknown HEDDLE_ variable is a warning that suggests the near miss', () => {
    assert.deepEqual(warningsOf({ HEDDLE_WORKER: '1' }), [
      'HEDDLE_WORKER: No such setting; did you mean HEDDLE_WORKERS?',
    ]);
  });

  test('variables that Kubernetes injects for Services and those of the launchers are silent', () => {
    const names = [
      'HEDDLE_SERVICE_HOST',
      'HEDDLE_SERVICE_PORT',
      'HEDDLE_SERVICE_PORT_HTTP',
      'HEDDLE_PORT',
      'HEDDLE_PORT_4140_TCP',
    ];
    const more = [
      'HEDDLE_PORT_4140_TCP_ADDR',
      'HEDDLE_ADMIN_SERVICE_HOST',
      'HEDDLE_ADMIN_PORT',
      'HEDDLE_NODE_BINARY',
      'HEDDLE_DIST',
    ];
    assert.deepEqual(warningsOf(Object.fromEntries([...names, ...more].map((name) => [name, '1']))), []);
  });
});

test('every default that is shown as it is written is a value that a user may give', () => {
  for (const { name, works } of describeSettings()) {
    const computed =
      ['none', 'min(cores, 4)'].includes(works?.defaultShown ?? 'none') || /[ ,]/.test(works!.defaultShown);
    if (!computed) settingsOf({ flags: { [name]: works!.defaultShown } });
  }
});
