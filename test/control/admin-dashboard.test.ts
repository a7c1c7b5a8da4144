/** The Grafana dashboard shows what there is: each of its expressions asks for series that the exposition has. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseExposition } from './admin/exposition.ts';
import { ask, busyStandIn, withAdmin } from './admin/stand-in.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly Panel[];
}

const { schemaVersion, templating, panels } = JSON.parse(
  readFileSync('deploy/dashboards/heddle.json', 'utf8'),
) as Dashboard;
const expressions = [
  ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...templating.list.flatMap(({ definition }) => (definition === undefined ? [] : [definition])),
];

async function exposed(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const labels = new Map<string, ReadonlySet<string>>();
  await withAdmin(busyStandIn(), 'probe', async (port) => {
    const metrics = parseExposition((await ask(port, '/metrics')).text, 'text');
    for (const { name, labels: own } of [...metrics.values()].flatMap(({ samples }) => samples))
      labels.set(name, new Set([...Object.keys(own), 'instance']));
  });
  return labels;
}

describe('deploy/dashboards/heddle.json', () => {
  test('asks only for series that exist', async () => {
    const known = await exposed();
    const asked = expressions.flatMap((expr) => expr.match(/\b(?:heddle|process|nodejs)_\w+/g) ?? []);
    assert.ok(asked.length > 40);
    assert.deepEqual(
      asked.filter((name) => !known.has(name)),
      [],
    );
  });

  test('selects and groups only by labels that these series have', async () => {
    const known = await exposed();
    const wrong = expressions.flatMap((expr) => {
      const names = expr.match(/\b(?:heddle|process|nodejs)_\w+/g) ?? [];
      const of = (name: string): readonly string[] => [...(known.get(name) ?? [])];
      const selected = [...expr.matchAll(/(\w+)\{([^}]*)\}/g)].flatMap(([, name = '', list = '']) =>
        [...list.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].filter(([, label = '']) => !of(name).includes(label)),
      );
      const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) =>
        list.split(', ').filter((label) => !names.some((name) => of(name).includes(label))),
      );
      return [...selected, ...grouped].map(String);
    });
    assert.deepEqual(wrong, []);
  });

  test('uses only variables that it has', () => {
    const names = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
    const used = expressions.flatMap((expr) => [...expr.matchAll(/\$(\w+)/g)].map(([, name]) => name!));
    assert.deepEqual(
      used.filter((name) => !names.has(name)),
      [],
    );
  });

  test('shows every metric of the mesh', async () => {
    const known = [...(await exposed()).keys()];
    const text = expressions.join('\n');
    const shown = (name: string): boolean => text.includes(name.replace(/_(?:sum|count|bucket)$/, ''));
    assert.deepEqual(
      known.filter((name) => name.startsWith('heddle_') && !shown(name)),
      [],
    );
  });

  test('is for Grafana 10 and later; its panels have numbers of their own and do not overlap', () => {
    assert.ok(schemaVersion >= 38);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const taken = new Set<string>();
    for (const { title, type, description, gridPos } of panels) {
      assert.ok(title !== '' && (type === 'row' || description !== undefined), title);
      assert.ok(gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!taken.has(`${x} ${y}`), `${title} overlaps`);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });
});
