import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { describe, mock, test, type TestContext } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import { ExternalNames, type NameResolver } from '../../src/control/external-names.ts';
import { problemText, type Problem } from '../../src/model/problem.ts';
import { type EndpointSlice, NO_RESOURCES, type Resources, type Service } from '../../src/model/resource.ts';
import { eventually } from '../harness/client.ts';
import { DnsServer } from './external-names/dns-server.ts';

type Records = readonly { address: string; ttl: number }[];
/** Addresses, or the code of an error. */
type Said = Records | string;

/** A resolver that says what the test has written down. */
class Book implements NameResolver {
  readonly ipv4 = new Map<string, Said>();
  readonly ipv6 = new Map<string, Said>();
  asked: string[] = [];
  underWay = 0;
  underWayMost = 0;
  /** While false, no question is answered. */
  open = true;
  readonly #held: (() => void)[] = [];

  resolve4(name: string): Promise<Records> {
    this.asked.push(name);
    return this.#answer(this.ipv4.get(name) ?? 'ENOTFOUND');
  }

  resolve6(name: string): Promise<Records> {
    return this.#answer(this.ipv6.get(name) ?? 'ENODATA');
  }

  cancel(): void {
    this.release();
  }

  /** Answers what was held. */
  release(): void {
    for (const go of this.#held.splice(0)) go();
  }

  async #answer(said: Said): Promise<Records> {
    this.underWayMost = Math.max(this.underWayMost, ++this.underWay);
    if (!this.open) await new Promise<void>((resolve) => this.#held.push(resolve));
    this.underWay--;
    if (typeof said !== 'string') return said;
    throw Object.assign(new Error(said), { code: said });
  }
}

class Stage {
  readonly book = new Book();
  readonly handed: Resources[] = [];
  readonly problems: (readonly Problem[])[] = [];
  readonly names: ExternalNames;

  constructor(context: TestContext) {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    this.names = new ExternalNames(
      {
        onResources: (resources) => void this.handed.push(resources),
        onProblems: (problems) => void this.problems.push(problems),
      },
      { resolver: this.book, nowMs: () => Date.now() },
    );
    context.after(() => {
      this.names.stop();
      mock.timers.reset();
    });
  }

  /** Lets time pass, in steps so that what is answered can be handed on. */
  async pass(ms: number, stepMs = 1000): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      await settled();
      mock.timers.tick(Math.min(stepMs, leftMs));
    }
    await settled();
  }

  async read(...services: readonly Service[]): Promise<void> {
    this.names.onResources({ ...NO_RESOURCES, services });
    await this.pass(100, 50);
  }

  get slices(): readonly EndpointSlice[] {
    return this.handed.at(-1)!.endpointSlices;
  }

  get addresses(): readonly string[] {
    return this.slices.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  }

  get texts(): readonly string[] {
    return (this.problems.at(-1) ?? []).map(problemText);
  }
}

/** Long enough for promises that wait for nothing else. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function external(externalName: string, more: Partial<Service> = {}): Service {
  return {
    namespace: 'shop',
    name: 'pay',
    annotations: { 'heddle.dev/enabled': 'true' },
    type: 'ExternalName',
    externalName,
    headless: false,
    clusterIps: [],
    family: 'IPv4',
    publishNotReadyAddresses: false,
    internalTrafficPolicy: 'Cluster',
    sessionAffinity: 'None',
    trafficDistribution: '',
    ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080, appProtocol: '' }],
    ...more,
  };
}

const ALLOWED = {
  clusterDomain: 'cluster.local',
  from: 'kubernetes',
  externalName: 'allow',
  nats: 'policies',
} as const;
const PAY = 'pay.example.org';
const at = (address: string, ttl = 30): Records => [{ address, ttl }];

describe('external names', () => {
  test('become EndpointSlices of both families, which compile takes as any other', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, [...at('203.0.113.9'), ...at('203.0.113.7')]);
    stage.book.ipv6.set(PAY, at('2001:DB8:0::7'));
    await stage.read(external(PAY));
    assert.deepEqual(
      stage.slices.map(({ name, service, addressType, ports }) => ({ name, service, addressType, ports })),
      (['IPv4', 'IPv6'] as const).map((addressType) => ({
        name: `pay-external-${addressType.toLowerCase()}`,
        service: 'pay',
        addressType,
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      })),
    );
    const { backends, problems } = compile(stage.handed.at(-1)!, undefined, ALLOWED);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      backends.flatMap(({ candidates }) => candidates.map(({ address, port, grade }) => `${address} ${port} ${grade}`)),
      ['2001:db8::7 8080 ready', '203.0.113.7 8080 ready', '203.0.113.9 8080 ready'],
    );
  });

  test('that DNS turns to this machine or to the metadata service of a cloud get no traffic there', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, [...at('127.0.0.1'), ...at('169.254.169.254'), ...at('203.0.113.7')]);
    stage.book.ipv6.set(PAY, [...at('::1'), ...at('::ffff:127.0.0.1')]);
    await stage.read(external(PAY));
    const { backends, problems } = compile(stage.handed.at(-1)!, undefined, ALLOWED);
    const used = backends.flatMap(({ candidates }) => candidates.filter(({ grade }) => grade === 'ready'));
    assert.deepEqual(
      used.map(({ address }) => address),
      ['203.0.113.7'],
    );
    assert.equal(problems.length, 4);
    assert.match(problemText(problems[0]!), /^EndpointSlice shop\/pay-external-ipv[46]: endpoints\[/);
  });

  test('are asked for enabled Services of that type only', async (context) => {
    const stage = new Stage(context);
    await stage.read(
      external('off.example.org', { annotations: {} }),
      external('ip.example.org', { type: 'ClusterIP' }),
    );
    assert.deepEqual(stage.book.asked, []);
  });

  test('of a Service that its Namespace enables are asked', async (context) => {
    const stage = new Stage(context);
    const namespaces = [{ name: 'shop', annotations: { 'heddle.dev/enabled': 'true' } }];
    stage.names.onResources({ ...NO_RESOURCES, namespaces, services: [external(PAY, { annotations: {} })] });
    assert.deepEqual(stage.book.asked, [PAY]);
  });

  test('of many Services in many Namespaces look at each Namespace once', (context) => {
    const stage = new Stage(context);
    let looks = 0;
    const namespaces = Array.from({ length: 1000 }, (_, index) => ({
      annotations: { 'heddle.dev/enabled': 'true' },
      get name() {
        looks++;
        return `n${index}`;
      },
    }));
    const services = namespaces.map((_, index) => external(PAY, { namespace: `n${index}`, annotations: {} }));
    stage.names.onResources({ ...NO_RESOURCES, namespaces, services });
    assert.deepEqual([looks, stage.book.asked], [1000, [PAY]]);
  });

  test('hold nothing up: the resources are handed on before DNS answers', (context) => {
    const stage = new Stage(context);
    stage.book.open = false;
    const resources = { ...NO_RESOURCES, services: [external(PAY)] };
    stage.names.onResources(resources);
    assert.deepEqual(stage.handed, [resources]);
  });

  test('are asked again when their TTL is over, and changed addresses replace the old ones', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7', 30));
    await stage.read(external(PAY));
    stage.book.ipv4.set(PAY, at('203.0.113.8', 30));
    await stage.pass(29_000);
    assert.deepEqual(stage.addresses, ['203.0.113.7']);
    await stage.pass(2_000);
    assert.deepEqual(stage.addresses, ['203.0.113.8']);
  });

  for (const [ttl, boundSeconds] of [
    [0, 5],
    [86_400, 300],
  ] as const) {
    test(`with a TTL of ${ttl} s are asked every ${boundSeconds} s`, async (context) => {
      const stage = new Stage(context);
      stage.book.ipv4.set(PAY, at('203.0.113.7', ttl));
      await stage.read(external(PAY));
      stage.book.asked = [];
      await stage.pass(boundSeconds * 4_000 + 1_000);
      assert.equal(stage.book.asked.length, 4);
    });
  }

  test('hand on nothing when DNS says the same in another order', async (context) => {
    const stage = new Stage(context);
    const records = [...at('203.0.113.7', 5), ...at('203.0.113.8', 5)];
    stage.book.ipv4.set(PAY, records);
    await stage.read(external(PAY));
    const { length } = stage.handed;
    stage.book.ipv4.set(PAY, records.toReversed());
    await stage.pass(30_000);
    assert.equal(stage.handed.length, length);
  });

  test('keep slices the same objects while other resources change', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7'));
    const service = external(PAY);
    await stage.read(service);
    const [before] = stage.slices;
    await stage.read(service, external('other.example.org', { name: 'other', annotations: {} }));
    assert.equal(stage.slices[0], before);
    assert.equal(stage.handed.at(-1)!.services.length, 2);
  });

  test('keep their last good addresses for an hour while DNS fails, and then have none', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7', 5));
    await stage.read(external(PAY));
    stage.book.ipv4.set(PAY, 'ESERVFAIL');
    await stage.pass(3_500_000, 5_000);
    assert.deepEqual(stage.addresses, ['203.0.113.7']);
    assert.deepEqual(stage.texts, [
      `Service shop/pay: spec.externalName: expected a name that DNS knows, got "${PAY}" (ESERVFAIL; its last addresses stay for up to an hour)`,
    ]);
    await stage.pass(300_000, 5_000);
    assert.deepEqual(stage.addresses, []);
    assert.deepEqual(stage.texts, [
      `Service shop/pay: spec.externalName: expected a name that DNS knows, got "${PAY}" (ESERVFAIL)`,
    ]);
  });

  test('whose one family fails are no problem while the other one has addresses', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7'));
    stage.book.ipv6.set(PAY, 'ETIMEOUT');
    await stage.read(external(PAY));
    assert.deepEqual([stage.addresses, stage.texts], [['203.0.113.7'], []]);
  });

  test('are no problem any more once DNS knows them', async (context) => {
    const stage = new Stage(context);
    await stage.read(external(PAY));
    assert.match(stage.texts[0]!, /got "pay\.example\.org" \(ENOTFOUND\)$/);
    stage.book.ipv4.set(PAY, at('203.0.113.7'));
    await stage.pass(6_000);
    assert.deepEqual([stage.addresses, stage.texts], [['203.0.113.7'], []]);
  });

  test('that fail are asked less and less often, at least once a minute', async (context) => {
    const stage = new Stage(context);
    await stage.read(external(PAY));
    stage.book.asked = [];
    await stage.pass(600_000);
    assert.ok(stage.book.asked.length >= 10 && stage.book.asked.length <= 14, `${stage.book.asked.length} times`);
  });

  test('have their problems told beside those of discovery', async (context) => {
    const stage = new Stage(context);
    const problem: Problem = { object: 'x.yaml', field: '', expected: 'YAML', got: 'nothing' };
    await stage.read(external(PAY));
    stage.names.onProblems([problem]);
    assert.equal(stage.texts.length, 2);
    assert.equal(stage.texts[0], 'x.yaml: expected YAML, got nothing');
  });

  for (const [name, why] of [
    ['169.254.169.254', 'an address'],
    ['2852039166', 'an address'],
    ['0x7f.1', 'an address'],
    ['::1', 'an address'],
    ['LOCALHOST', 'which means this machine'],
    ['db.localhost.', 'which means this machine'],
    ['intranet', 'a single label'],
    ['', 'not a DNS name'],
    ['a..b', 'not a DNS name'],
    ['a b.example.org', 'not a DNS name'],
    [`${'a'.repeat(64)}.org`, 'not a DNS name'],
    [`${'abc.'.repeat(63)}organ`, 'not a DNS name'],
  ] as const) {
    test(`as ${JSON.stringify(name.slice(0, 20))} are refused with a problem and never asked`, async (context) => {
      const stage = new Stage(context);
      await stage.read(external(name));
      assert.deepEqual(stage.book.asked, []);
      assert.equal(stage.texts.length, 1);
      assert.match(
        stage.texts[0]!,
        /^Service shop\/pay: spec\.externalName: expected a DNS name outside of this machine/,
      );
      assert.ok(stage.texts[0]!.endsWith(`, ${why}`), stage.texts[0]!);
    });
  }

  test('that several Services have are asked once, whatever their spelling', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7'));
    await stage.read(external('Pay.Example.Org.'), external(PAY, { name: 'billing' }));
    assert.deepEqual(stage.book.asked, [PAY]);
    assert.deepEqual(
      stage.slices.map(({ service }) => service),
      ['pay', 'billing'],
    );
  });

  test('that are gone are not asked any more', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7', 5));
    await stage.read(external(PAY));
    await stage.read();
    stage.book.asked = [];
    await stage.pass(30_000);
    assert.deepEqual([stage.book.asked, stage.addresses], [[], []]);
  });

  test('are asked by at most 16 queries at a time', async (context) => {
    const stage = new Stage(context);
    stage.book.open = false;
    await stage.read(
      ...Array.from({ length: 50 }, (_, index) => external(`n${index}.example.org`, { name: `n${index}` })),
    );
    assert.equal(stage.book.underWay, 16);
    stage.book.open = true;
    stage.book.release();
    await stage.pass(100, 10);
    assert.deepEqual([stage.book.asked.length, stage.book.underWayMost], [50, 16]);
  });

  test('beyond a thousand are problems, and take no place of those that are known', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7', 300));
    await stage.read(external(PAY));
    const others = Array.from({ length: 1000 }, (_, index) =>
      external(`n${index}.example.org`, { namespace: 'greedy', name: `n${index}` }),
    );
    await stage.read(...others, external(PAY));
    const refused = stage.texts.filter((text) => text.includes('at most 1000 names outside of the mesh'));
    assert.equal(refused.length, 1);
    assert.match(refused[0]!, /^Service greedy\//);
    assert.deepEqual(stage.addresses, ['203.0.113.7']);
  });

  test('that have a flood of addresses get a hundred of them', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(
      PAY,
      Array.from({ length: 4000 }, (_, index) => ({ address: `203.0.${index >> 8}.${index & 255}`, ttl: 30 })),
    );
    await stage.read(external(PAY));
    assert.equal(stage.addresses.length, 100);
  });

  test('that are answered one after the other are some changes, not as many as names', async (context) => {
    const stage = new Stage(context);
    const names = Array.from({ length: 200 }, (_, index) => `n${index}.example.org`);
    for (const name of names) stage.book.ipv4.set(name, at('203.0.113.7'));
    await stage.read(...names.map((name, index) => external(name, { name: `n${index}` })));
    assert.equal(stage.slices.length, 200);
    assert.ok(stage.handed.length < 10, `${stage.handed.length} times`);
  });

  test('are not handed on after the end', async (context) => {
    const stage = new Stage(context);
    stage.book.ipv4.set(PAY, at('203.0.113.7', 5));
    stage.book.open = false;
    await stage.read(external(PAY));
    stage.names.stop();
    await stage.pass(60_000);
    assert.deepEqual([stage.handed.length, stage.book.asked.length], [1, 1]);
  });
});

test("external names are asked of a DNS server by Node's resolver, with their TTL", async (context) => {
  const server = await DnsServer.start({ [PAY]: { A: ['203.0.113.7'], AAAA: ['2001:db8::7'], ttl: 60 } });
  context.after(() => server.stop());
  const resolver = new Resolver({ timeout: 2_000, tries: 5 });
  resolver.setServers([server.address]);
  let last: Resources = NO_RESOURCES;
  let texts: readonly string[] = [];
  const names = new ExternalNames(
    {
      onResources: (resources) => (last = resources),
      onProblems: (problems) => (texts = problems.map(problemText)),
    },
    { resolver },
  );
  context.after(() => names.stop());
  names.onResources({ ...NO_RESOURCES, services: [external(PAY), external('nobody.example.org', { name: 'nobody' })] });
  await eventually(() => last.endpointSlices.length === 2 && texts.length === 1, { what: 'an answer of DNS' });
  assert.deepEqual(
    last.endpointSlices.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)),
    ['203.0.113.7', '2001:db8::7'],
  );
  assert.match(texts[0]!, /^Service shop\/nobody: .* got "nobody\.example\.org" \(ENOTFOUND\)$/);
});
