import { settingsOf } from '../harness/settings.ts';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import { markOf } from '../../src/lib/mark.ts';
import { NO_DEEDS, NO_POLICY, type Routing, type Rule, type RuleTable, type Target } from '../../src/model/routing.ts';
import type { Backend, BackendId, Workload } from '../../src/model/snapshot.ts';
import { type Circumstances, decide, Decision, type Directory } from '../../src/proxy/decide.ts';
import { feedHead, type Head, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { FrontendTable, LiveRouting } from '../../src/proxy/route.ts';

// What becomes of a request once its Service is known. Matching has tests of its own.

const LIMITS = { head: 32_768, headers: 100, url: 16_384 };
const NOW_S = 1_700_000_000;
const heads = new HeadPool(100);
const PORT = 'shop/orders:80' as BackendId;

class Fixed extends SeededDice implements Circumstances {
  nowS(): number {
    return NOW_S;
  }
}

function headOf(lines = ''): Head {
  const head = heads.take();
  const text = Buffer.from(`GET / HTTP/1.1\r\nHost: orders.shop\r\n${lines}\r\n`, 'latin1');
  startRequest(head);
  feedHead(head, text, 0, text.length, LIMITS);
  return head;
}

function target(name: string, weight: number, known = true): Target {
  const backend = known ? (`shop/${name}:80` as BackendId) : undefined;
  const reason = known ? '' : `There is no Service shop/${name}`;
  return {
    field: 'f',
    name: `Service shop/${name}:80`,
    backend,
    reason,
    weight,
    request: undefined,
    response: undefined,
  };
}

function rule(targets: readonly Target[], more: Partial<Rule> = {}): Rule {
  return {
    source: { object: 'HTTPRoute shop/orders', field: 'spec.rules[0]', name: '' },
    ...NO_DEEDS,
    targets,
    ...more,
  };
}

/** One rule for everything. */
function table(one: Rule, more: Partial<RuleTable> = {}): RuleTable {
  const entries = [{ match: { path: undefined, methods: [], fields: [] }, rule: 0, field: 'spec.rules[0]' }];
  return { protocol: 'http', rules: [one], entries, unmatched: 'refuse', ...more };
}

function directoryOf(routing: Partial<Routing>, backends: readonly Partial<Backend>[] = []): Directory {
  const frontend = {
    namespace: 'shop',
    name: 'orders',
    enabled: true,
    clusterIps: [],
    ports: [{ port: 80, name: '', backend: PORT, targetPorts: [] }],
  };
  const workload: Workload = { address: '10.1.1.1', namespace: 'client', name: 'c', serviceAccount: 'c', labels: {} };
  return {
    frontends: new FrontendTable({ frontends: [frontend], clusterDomain: 'cluster.local' }),
    workloads: new Map([['10.1.1.1', workload]]),
    routings: new Map([
      [PORT, new LiveRouting({ id: PORT, policy: undefined, consumers: {}, all: undefined, ...routing }, settingsOf())],
    ]),
    backends: new Map(backends.map((backend) => [backend.id!, { backend: backend as Backend }])),
  };
}

function decided(
  directory: Directory,
  head = headOf(),
  chance: Circumstances = new Fixed(1),
  address = '10.9.9.9',
): Decision {
  return decide(
    head,
    directory,
    { address, trusted: false, listener: 'mesh', listenerPort: 4140 },
    chance,
    new Decision(),
  );
}

describe('a split', () => {
  test('of 90 to 10 over 10,000 seeded requests is within four sigma', () => {
    const directory = directoryOf({ all: table(rule([target('v1', 90), target('v2', 10)])) });
    for (const seed of [1, 2, 3, 0x7fffffff]) {
      const chance = new Fixed(seed);
      const head = headOf();
      let second = 0;
      for (let index = 0; index < 10_000; index++)
        if (decided(directory, head, chance).backend === 'shop/v2:80') second++;
      assert.ok(Math.abs(second - 1000) <= 4 * Math.sqrt(10_000 * 0.1 * 0.9), `seed ${seed}: ${second}`);
    }
  });

  test('is the same again with the same seed', () => {
    const directory = directoryOf({ all: table(rule([target('v1', 1), target('v2', 1)])) });
    const run = (): (string | undefined)[] => {
      const chance = new Fixed(7);
      return Array.from({ length: 100 }, () => decided(directory, headOf(), chance).backend);
    };
    assert.deepEqual(run(), run());
  });

  test('gives a target of weight 0 nothing, wherever it stands', () => {
    const directory = directoryOf({ all: table(rule([target('v0', 0), target('v1', 1), target('v2', 0)])) });
    const chance = new Fixed(3);
    for (let index = 0; index < 10_000; index++)
      assert.equal(decided(directory, headOf(), chance).backend, 'shop/v1:80');
  });

  test('answers the share of a target that leads nowhere with 500, and says why', () => {
    const directory = directoryOf({ all: table(rule([target('v1', 1), target('gone', 1, false)])) });
    const chance = new Fixed(5);
    const failures = Array.from({ length: 1000 }, () => decided(directory, headOf(), chance)).filter(
      ({ failure }) => failure !== undefined,
    );
    assert.ok(failures.length > 400 && failures.length < 600, String(failures.length));
    assert.deepEqual([failures[0]!.failure, failures[0]!.detail], ['no-target', 'There is no Service shop/gone']);
  });

  test('whose weights are all 0 leads nowhere', () => {
    const decision = decided(directoryOf({ all: table(rule([target('v1', 0), target('v2', 0)])) }));
    assert.equal(decision.failure, 'no-target');
  });
});

describe('a consumer route', () => {
  const directory = directoryOf({
    all: table(rule([target('v1', 1)])),
    consumers: { client: table(rule([target('v2', 1)])) },
  });

  test('is for clients of its own namespace, in place of the others', () => {
    assert.equal(decided(directory, headOf(), new Fixed(1), '10.1.1.1').backend, 'shop/v2:80');
    assert.equal(decided(directory, headOf(), new Fixed(1), '10.9.9.9').backend, 'shop/v1:80');
  });
});

describe('what no rule matches', () => {
  const no = { entries: [] };

  test('is refused where the rules are routes', () => {
    assert.equal(decided(directoryOf({ all: table(rule([target('v1', 1)]), no) })).failure, 'no-rule');
  });

  test('goes to the port itself where they are not', () => {
    const forwards = { ...no, unmatched: 'forward' as const };
    assert.equal(decided(directoryOf({ all: table(rule([target('v1', 1)]), forwards) })).backend, PORT);
  });

  test('is said to be not yet carried where they are of a GRPCRoute', () => {
    const grpc = { protocol: 'grpc' as const };
    assert.equal(decided(directoryOf({ all: table(rule([target('v1', 1)]), grpc) })).failure, 'not-yet');
  });
});

describe('a session', () => {
  const session = { by: 'cookie', name: 'place', path: '/', lifetimeS: undefined, permanent: false } as const;
  const directory = directoryOf({ all: table(rule([target('v1', 1), target('v2', 1)], { session })) });
  const cookie = (backend: string, endS = 0): string =>
    `Cookie: place=${markOf(backend).toString(36)}.${markOf('10.0.0.1:80').toString(36)}.${endS.toString(36)}\r\n`;

  test('stays at its target and its endpoint', () => {
    const chance = new Fixed(9);
    for (let index = 0; index < 50; index++) {
      const decision = decided(directory, headOf(cookie('shop/v2:80')), chance);
      assert.deepEqual([decision.backend, decision.endpointMark], ['shop/v2:80', markOf('10.0.0.1:80')]);
    }
  });

  test('ends with its time, and with weight 0, and then the dice decide', () => {
    const zero = directoryOf({ all: table(rule([target('v1', 1), target('v2', 0)], { session })) });
    assert.equal(decided(zero, headOf(cookie('shop/v2:80'))).backend, 'shop/v1:80');
    assert.equal(decided(zero, headOf(cookie('shop/v2:80'))).endpointMark, 0);
    const over = decided(directory, headOf(cookie('shop/v2:80', NOW_S - 1)));
    assert.deepEqual([over.endpointMark, over.roll >= 0], [0, true]);
  });

  test('of the backend alone names an endpoint', () => {
    const own = directoryOf({}, [{ id: PORT, session }]);
    assert.equal(decided(own, headOf(cookie(PORT))).endpointMark, markOf('10.0.0.1:80'));
    assert.equal(decided(own, headOf(cookie('shop/v2:80'))).endpointMark, 0);
  });
});

describe('a fault', () => {
  test('that aborts comes before any rule', () => {
    const policy = { ...NO_POLICY, faults: [{ type: 'abort' as const, status: 503, share: 1 }] };
    const decision = decided(directoryOf({ policy, all: table(rule([target('v1', 1)])) }));
    assert.deepEqual([decision.answer, decision.abortStatus, decision.rule], ['abort', 503, undefined]);
  });

  test('of a client counts only where the Service allows it', () => {
    const head = headOf('x-heddle-fault: abort=418\r\n');
    assert.equal(decided(directoryOf({ policy: NO_POLICY }), head).answer, 'none');
    assert.equal(decided(directoryOf({ policy: { ...NO_POLICY, faultOnHeader: true } }), head).abortStatus, 418);
  });
});

test('CONNECT is not looked at by rules', () => {
  const directory = directoryOf({ all: table(rule([]), { entries: [] }) }, [{ id: PORT, subject: undefined }]);
  const head = heads.take();
  const text = Buffer.from('CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n', 'latin1');
  startRequest(head);
  feedHead(head, text, 0, text.length, LIMITS);
  assert.deepEqual([decided(directory, head).failure, decided(directory, head).backend], [undefined, PORT]);
});
