import { EXPLAIN_LIMITS, type RulesStep, type TriedEntry } from '../../model/explanation.ts';
import type { Decision } from '../decide.ts';
import type { Head } from '../http.ts';
import type { LiveTable, Misfit } from '../route.ts';
import { matchText } from './describe.ts';

/** A path may have 16 KiB, and a hundred entries repeat it. */
const GOT_CHARS_MAX = 256;

/** The rules that count for this client, and the entries that the request did not fit; null: there are none. */
export function triedEntries(decision: Decision, head: Head): RulesStep | null {
  const { routing, table: live, namespace, entry } = decision;
  if (routing === undefined || live === undefined) return null;
  const { protocol, unmatched, rules, entries } = live.table;
  // Nothing looks into a table of a protocol that is not carried.
  const count = protocol === 'grpc' ? 0 : entry < 0 ? entries.length : entry;
  const tried = nearest(live, count, head, decision).map(({ index, misfit }): TriedEntry => {
    const { field, match, rule } = entries[index]!;
    const { part, expected } = misfit;
    const got = misfit.got.length > GOT_CHARS_MAX ? `${misfit.got.slice(0, GOT_CHARS_MAX)}…` : misfit.got;
    return { object: rules[rule]!.source.object, field, match: matchText(match), part, expected, got };
  });
  return {
    consumers: Object.hasOwn(routing.routing.consumers, namespace) ? namespace : '',
    protocol,
    unmatched,
    objects: [...new Set(rules.map(({ source }) => source.object))].slice(0, EXPLAIN_LIMITS.objects),
    entries: entries.length,
    fits: entry,
    tried,
    triedLeft: count - tried.length,
  };
}

interface Tried {
  readonly index: number;
  readonly misfit: Misfit;
}

/**
 * Of the first entries. Whoever asks why looks for those that all but fit: of a path that is another one there may be thousands.
 */
function nearest({ matcher }: LiveTable, count: number, head: Head, { pathStart, unseen }: Decision): readonly Tried[] {
  const near: Tried[] = [];
  const far: Tried[] = [];
  let index = -1;
  for (const misfit of matcher.misfits(head, pathStart, unseen)) {
    index++;
    if (index === count || near.length === EXPLAIN_LIMITS.tried) break;
    const kept = misfit?.part === 'path' ? far : near;
    if (misfit !== undefined && kept.length < EXPLAIN_LIMITS.tried) kept.push({ index, misfit });
  }
  return [...near, ...far].slice(0, EXPLAIN_LIMITS.tried).toSorted((a, b) => a.index - b.index);
}
