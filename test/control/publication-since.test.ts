import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Publication } from '../../src/control/publication.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import type { Backend, BackendId, Configuration } from '../../src/model/snapshot.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../src/shared.ts';
import { allocateMeters, MeterReader } from '../../src/telemetry.ts';

const ID = 'shop/orders:80' as BackendId;

/** A publication, and how old it says that endpoints are. */
class Scene {
  readonly #shared = new SharedReader(allocateShared(1, BUCKET_BYTES));
  readonly #publication = new Publication(new MeterReader(allocateMeters(1)), this.#shared);

  /** @param settled the workers have it, and what is gone is forgotten. */
  publish(addresses: readonly string[], nowMs: number, settled = true): void {
    const { generation } = this.#publication.next(configuration(addresses), nowMs)!;
    if (settled) this.#publication.settle(generation);
  }

  ages(addresses: readonly string[], nowMs: number): readonly (number | undefined)[] {
    return addresses.map(
      (address) => this.#shared.endpoint(this.#publication.endpointRow(ID, `${address}:80`), nowMs).ageMs,
    );
  }
}

function configuration(addresses: readonly string[]): Configuration {
  const backend: Backend = {
    id: ID,
    namespace: 'shop',
    name: 'orders',
    port: 80,
    endpoints: addresses.map((address) => ({ address, port: 80, tier: 0 })),
    subject: undefined,
    session: undefined,
    policy: DEFAULT_BACKEND_POLICY,
  };
  return {
    clusterDomain: 'cluster.local',
    frontends: [],
    backends: [backend],
    routings: [],
    workloads: [],
    subscriptions: [],
    policies: [],
  };
}

test('endpoints that come with their backend have no age', () => {
  const scene = new Scene();
  scene.publish(['10.0.0.1', '10.0.0.2'], 1000);
  assert.deepEqual(scene.ages(['10.0.0.1', '10.0.0.2'], 9000), [undefined, undefined]);
});

test('the first endpoints of a backend that had none have no age', () => {
  const scene = new Scene();
  scene.publish([], 1000);
  scene.publish(['10.0.0.1'], 2000);
  assert.deepEqual(scene.ages(['10.0.0.1'], 9000), [undefined]);
});

test('an endpoint that comes later is as old as its generation', () => {
  const scene = new Scene();
  scene.publish(['10.0.0.1'], 1000);
  scene.publish(['10.0.0.1', '10.0.0.2'], 2000);
  scene.publish(['10.0.0.2', '10.0.0.3'], 5000);
  assert.deepEqual(scene.ages(['10.0.0.2', '10.0.0.3'], 9000), [7000, 4000]);
});

for (const settled of [true, false])
  test(`an endpoint that went and came back is new${settled ? '' : ', even before the workers know that it went'}`, () => {
    const scene = new Scene();
    scene.publish(['10.0.0.1', '10.0.0.2'], 1000);
    scene.publish(['10.0.0.1'], 2000, settled);
    scene.publish(['10.0.0.1', '10.0.0.2'], 3000, settled);
    assert.deepEqual(scene.ages(['10.0.0.1', '10.0.0.2'], 9000), [undefined, 6000]);
  });
