import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isOlder } from '../../../../src/control/discovery/kubernetes/resource-version.ts';
import { type ApiObject, Store } from '../../../../src/control/discovery/kubernetes/store.ts';
import { problemText } from '../../../../src/model/problem.ts';

interface Thing {
  readonly namespace: string;
  readonly name: string;
  readonly value: string;
}

/** `value`: `wrong` is refused, `odd` makes trimming throw. */
function thing(name: string, version: string, value: string): ApiObject {
  return { metadata: { name, namespace: 'ns', resourceVersion: version }, value } as ApiObject;
}

function store(): Store<Thing> {
  return new Store<Thing>({
    kind: 'Thing',
    trim: ({ metadata: { name, namespace }, value }: { metadata: Thing; value: string }) => {
      if (value === 'odd') throw new TypeError('Cannot read properties of null');
      if (value === 'wrong')
        return { resource: undefined, mismatches: [{ field: 'value', expected: 'a good one', got: 'wrong' }] };
      return { resource: { namespace, name, value }, mismatches: [] };
    },
  });
}

function values(things: Store<Thing>): string {
  return things.resources.map(({ name, value }) => `${name}=${value}`).join(' ');
}

function filled(): Store<Thing> {
  const things = store();
  things.put(thing('a', '9', 'one'));
  return things;
}

function readAll(things: Store<Thing>, ...objects: readonly ApiObject[]): boolean {
  const reading = new Map();
  for (const object of objects) things.read(object, reading);
  return things.replace(reading);
}

describe('versions', () => {
  test('are compared as integers of any length', () => {
    assert.ok(isOlder('9', '10'));
    assert.ok(isOlder('99999999999999999998', '99999999999999999999'));
    assert.ok(!isOlder('10', '10'));
    assert.ok(!isOlder('10', '9'));
  });

  test('that are no integers are never older', () => {
    for (const [a, b] of [
      ['a', 'b'],
      ['01', '2'],
      ['1', 'x'],
      ['', '1'],
    ] as const)
      assert.ok(!isOlder(a, b));
  });
});

describe('a store', () => {
  test('takes nothing from an event that it knows', () => {
    const things = filled();
    assert.equal(things.put(thing('a', '9', 'again')), false);
    assert.equal(values(things), 'a=one');
  });

  test('does not go back to an older state of an object', () => {
    const things = filled();
    things.put(thing('a', '10', 'two'));
    assert.equal(things.put(thing('a', '9', 'one')), false);
    assert.equal(values(things), 'a=two');
  });

  test('does not bring back an object that was deleted, by an event that comes late', () => {
    const things = filled();
    assert.equal(things.remove(thing('a', '10', 'one')), true);
    assert.equal(things.put(thing('a', '9', 'one')), false);
    assert.equal(things.put(thing('a', '11', 'new')), true);
    assert.equal(values(things), 'a=new');
  });

  test('does not lose an object that was made anew, by an end that comes late', () => {
    const things = filled();
    things.put(thing('a', '11', 'new'));
    assert.equal(things.remove(thing('a', '10', 'one')), false);
    assert.equal(values(things), 'a=new');
  });

  test('keeps the object that is equal in all that matters', () => {
    const things = filled();
    const [before] = things.resources;
    const list = things.resources;
    assert.equal(things.put(thing('a', '10', 'one')), false);
    assert.equal(things.resources[0], before);
    assert.equal(things.resources, list);
  });

  test('keeps the last good state of an object that cannot be obeyed, and says why', () => {
    const things = filled();
    assert.equal(things.put(thing('a', '10', 'wrong')), true);
    assert.equal(values(things), 'a=one');
    assert.deepEqual(things.problems.map(problemText), ['Thing ns/a: value: expected a good one, got wrong']);
    things.put(thing('a', '11', 'two'));
    assert.deepEqual(things.problems, []);
  });

  test('lets an object of another shape harm itself only', () => {
    const things = filled();
    readAll(things, thing('a', '9', 'one'), thing('b', '10', 'odd'), thing('c', '11', 'fine'));
    assert.equal(values(things), 'a=one c=fine');
    assert.deepEqual(things.problems.map(problemText), [
      'Thing ns/b: expected Thing as the API describes it, got "Cannot read properties of null"',
    ]);
  });

  test('that reads all anew keeps what is as before and loses what is gone', () => {
    const things = filled();
    things.put(thing('b', '10', 'two'));
    const [before] = things.resources;
    assert.equal(readAll(things, thing('a', '9', 'never looked at')), true);
    assert.equal(values(things), 'a=one');
    assert.equal(things.resources[0], before);
    assert.equal(readAll(things, thing('a', '9', 'one')), false);
  });

  test('believes a list that is older than what it has: the server was restored from a backup', () => {
    const things = filled();
    readAll(things, thing('a', '3', 'restored'));
    assert.equal(values(things), 'a=restored');
  });

  test('takes another object that has the version of the one before: the server was restored from a backup', () => {
    const things = store();
    const of = (uid: string, value: string): ApiObject => {
      const object = thing('a', '9', value);
      return { ...object, metadata: { ...object.metadata, uid } };
    };
    things.put(of('first', 'one'));
    assert.equal(things.put(of('first', 'never looked at')), false);
    assert.equal(things.put(of('second', 'two')), true);
    assert.equal(values(things), 'a=two');
    readAll(things, of('third', 'three'));
    assert.equal(values(things), 'a=three');
  });

  test('that no longer believes versions looks at each object, and keeps those that are equal', () => {
    const things = filled();
    things.put(thing('b', '10', 'two'));
    const [before] = things.resources;
    things.distrust();
    readAll(things, thing('a', '9', 'one'), thing('b', '10', 'restored'));
    assert.equal(values(things), 'a=one b=restored');
    assert.equal(things.resources[0], before);
  });

  test('that began with a snapshot keeps the objects that are still the same', () => {
    const things = store();
    const old = { namespace: 'ns', name: 'a', value: 'one' };
    things.seed([old, { namespace: 'ns', name: 'gone', value: 'x' }]);
    readAll(things, thing('a', '9', 'one'));
    assert.equal(values(things), 'a=one');
    assert.equal(things.resources[0], old);
  });
});
