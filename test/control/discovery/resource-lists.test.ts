import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ResourceList, RESOURCE_LISTS, sameResources } from '../../../src/control/discovery/resource-lists.ts';
import { NO_RESOURCES, type Resources } from '../../../src/model/resource.ts';

/** Resources of one object, which is a new one each time. */
function resourcesOf(list: ResourceList): Resources {
  const object = { name: 'a' };
  return { ...NO_RESOURCES, [list]: list === 'node' ? object : [object] };
}

for (const list of RESOURCE_LISTS) {
  test(`resources are others when an object of ${list} is another one`, () => {
    const before = resourcesOf(list);
    assert.equal(sameResources(before, { ...before }), true);
    assert.equal(sameResources(before, resourcesOf(list)), false);
    assert.equal(sameResources(before, NO_RESOURCES), false);
  });
}
