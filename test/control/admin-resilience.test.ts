/** How endpoints and backends stand, as the admin side tells it: /endpoints, /backends and /explain. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type {
  BackendsAnswer,
  BackendView,
  EndpointsAnswer,
  EndpointView,
  ExplainAnswer,
} from '../../src/model/admin.ts';
import { type BackendPolicy, DEFAULT_BALANCE, DEFAULT_OUTLIER } from '../../src/model/resilience.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { BACKEND, backendRow, Budget, ENDPOINT, endpointRow, Outage, Places } from '../../src/shared.ts';
import { ask, ROUTING, StandIn, WATCHFUL, withAdmin } from './admin/stand-in.ts';

const ORDERS = 'shop/orders:80' as BackendId;
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];

function standIn(policy: Partial<BackendPolicy> = WATCHFUL): StandIn {
  return new StandIn([{ name: 'orders', endpoints: ADDRESSES, policy }]);
}

/** Of the nth endpoint. */
function rowOf(source: StandIn, index: number): number {
  return source.endpointRow(ORDERS, `${ADDRESSES[index]}:80`);
}

/** Those that traffic is meant for, by address. */
async function endpointsOf(source: StandIn): Promise<readonly EndpointView[]> {
  let views: readonly EndpointView[] = [];
  await withAdmin(source, 'admin', async (port) => {
    views = (JSON.parse((await ask(port, '/endpoints')).text) as EndpointsAnswer).endpoints;
  });
  return views.filter(({ state }) => state !== 'unused');
}

async function backendOf(source: StandIn, query = ''): Promise<BackendView | undefined> {
  let view: BackendView | undefined;
  await withAdmin(source, 'admin', async (port) => {
    [view] = (JSON.parse((await ask(port, `/backends${query}`)).text) as BackendsAnswer).backends;
  });
  return view;
}

describe('/endpoints', () => {
  test('tells which is ejected, by what, for how much longer and how often', async () => {
    const source = standIn();
    source.eject(rowOf(source, 0), 60_000);
    const [out, other] = await endpointsOf(source);
    assert.deepEqual([out?.state, out?.ejectedBy, out?.ejections, out?.panic], ['out', 'consecutive', 1, false]);
    assert.ok(out!.ejectedMs! > 50_000 && out!.ejectedMs! <= 60_000, String(out?.ejectedMs));
    assert.match(out!.reason, /^ejected by failures in a row: (?:1m|\d\ds) more$/);
    assert.deepEqual([other?.state, other?.reason, other?.ejectedMs], ['used', '', null]);
  });

  test('tells that the time of one is over, and that it went out several times', async () => {
    const source = standIn();
    const { cells, base } = endpointRow(source.sharedMemory, rowOf(source, 0));
    const outage = new Outage(cells, base + ENDPOINT.ejection);
    for (let time = 0; time < 3; time++) {
      outage.end();
      outage.begin(performance.now() - 60_000, () => 1000);
    }
    const [out] = await endpointsOf(source);
    assert.deepEqual([out?.state, out?.ejectedMs, out?.ejections], ['out', 0, 3]);
    assert.match(out!.reason, /3 times by now: the next request may try it$/);
  });

  test('tells what health checks say', async () => {
    const source = standIn();
    source.setCheck(rowOf(source, 0), 'failing');
    source.setCheck(rowOf(source, 1), 'passing');
    const views = await endpointsOf(source);
    assert.deepEqual(
      views.map(({ state, check }) => [state, check]),
      [
        ['out', 'failing'],
        ['used', 'passing'],
        ['used', 'unknown'],
        ['used', 'unknown'],
      ],
    );
    assert.equal(views[0]?.reason, 'its health check fails');
  });

  test('tells of panic where too few are usable: those that are out get traffic all the same', async () => {
    const source = standIn();
    for (const index of [0, 1, 2]) source.eject(rowOf(source, index), 60_000);
    const views = await endpointsOf(source);
    assert.ok(views.every(({ panic }) => panic));
    assert.match(views[0]!.reason, /; it gets traffic all the same: too few are usable$/);
  });

  test('counts nothing that the policy does not ask for: an earlier one may have left it', async () => {
    const source = standIn({});
    source.eject(rowOf(source, 0), 60_000);
    source.setCheck(rowOf(source, 0), 'failing');
    const [first] = await endpointsOf(source);
    assert.deepEqual([first?.state, first?.ejectedMs, first?.check], ['used', null, 'off']);
  });

  test('tells of a new one for how long its share grows', async () => {
    const source = standIn({ balance: { ...DEFAULT_BALANCE, slowStartMs: 600_000 } });
    source.shared.arrive(rowOf(source, 1), performance.now() - 60_000);
    const [old, fresh] = await endpointsOf(source);
    assert.equal(old?.reason, '');
    assert.match(fresh!.reason, /^new: its share grows for (?:9m|8m\d+s) more$/);
  });

  test('tells shares of the attempts, and replies from 500 on', async () => {
    const source = standIn();
    for (const [index, attempts] of [3, 1].entries()) {
      const meter = source.endpointMeter(0, rowOf(source, index));
      for (let attempt = 0; attempt < attempts; attempt++) meter.begin();
      meter.error();
    }
    const views = await endpointsOf(source);
    assert.deepEqual(
      views.map(({ share, errors }) => [share, errors]),
      [
        [0.75, 1],
        [0.25, 1],
        [0, 0],
        [0, 0],
      ],
    );
  });

  test('tells nothing of one that shares its row with others', async () => {
    const source = standIn();
    source.rowsMax = 0;
    const views = await endpointsOf(source);
    assert.deepEqual(new Set(views.map(({ state }) => state)), new Set(['used']));
  });
});

describe('/backends', () => {
  test('tells how full the limits are, over all workers', async () => {
    const source = standIn({ maxInFlight: 10, queue: { length: 5, waitMs: 1000 } });
    const row = backendRow(source.sharedMemory, source.backendRow(ORDERS));
    for (const worker of [0, 1]) {
      const places = new Places(source.sharedMemory, row, worker);
      places.take(10);
      places.wait(5);
    }
    const view = await backendOf(source);
    assert.deepEqual([view?.inFlight, view?.maxInFlight, view?.waiting, view?.maxWaiting], [2, 10, 2, 5]);
    assert.equal(view?.policy, 'max-in-flight 10; max-queue 5, 1s');
  });

  test('tells how many retries may still be made', async () => {
    const policy = { budget: { share: 0, perS: 1, windowMs: 10_000 } };
    const source = standIn(policy);
    const row = backendRow(source.sharedMemory, source.backendRow(ORDERS));
    const budget = new Budget(source.sharedMemory, row, 1);
    assert.equal((await backendOf(source))?.retriesLeft, 10);
    for (let retry = 0; retry < 4; retry++) budget.retry(performance.now(), policy.budget);
    assert.equal((await backendOf(source))?.retriesLeft, 6);
  });

  test('tells whether the breaker is closed, open or half-open', async () => {
    const source = standIn();
    const { cells, base } = backendRow(source.sharedMemory, source.backendRow(ORDERS));
    const outage = new Outage(cells, base + BACKEND.breaker);
    assert.equal((await backendOf(source))?.breaker, 'closed');
    outage.begin(performance.now(), () => 60_000);
    const open = await backendOf(source);
    assert.equal(open?.breaker, 'open');
    assert.ok(open.breakerMs > 50_000 && open.breakerMs <= 60_000, String(open?.breakerMs));
    outage.end();
    outage.begin(performance.now() - 60_000, () => 1000);
    assert.equal((await backendOf(source))?.breaker, 'half-open');
    assert.equal((await backendOf(standIn({})))?.breaker, 'none');
  });

  test('tells how many endpoints are usable', async () => {
    const source = standIn({ outlier: DEFAULT_OUTLIER });
    source.eject(rowOf(source, 0), 60_000);
    const view = await backendOf(source);
    assert.deepEqual([view?.endpointsUsable, view?.endpointsUsed, view?.panic], [3, 4, false]);
  });

  test('can be asked for one Service', async () => {
    assert.equal((await backendOf(standIn(), '?service=shop/orders'))?.name, 'orders');
    assert.equal(await backendOf(standIn(), '?service=shop/stock'), undefined);
  });
});

test('an explanation tells how full the limits of its backend are', async () => {
  const source = standIn({ maxInFlight: 10 });
  source.snapshot = { ...source.snapshot!, routings: [ROUTING] };
  new Places(source.sharedMemory, backendRow(source.sharedMemory, source.backendRow(ORDERS)), 0).take(10);
  await withAdmin(source, 'admin', async (port) => {
    const { load } = JSON.parse((await ask(port, '/explain?url=http://orders.shop/')).text) as ExplainAnswer;
    assert.deepEqual([load?.inFlight, load?.maxInFlight, load?.breaker], [1, 10, 'none']);
  });
});
