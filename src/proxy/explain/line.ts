import { BRIDGE_BACKEND } from '../../model/snapshot.ts';
import type { Decision } from '../decide.ts';

const NAME = 'x-heddle-explain: ';
/** Names of objects are long, and heads have limits. */
const PART_CHARS_MAX = 200;
const CHARS_MAX = 1000;
/** What may stand in a part: visible ASCII and spaces (RFC 9110 section 5.5), and no end of a part. */
const UNSAFE = /[^\x20-\x7e]|;/g;

/**
 * The decision as one field line of a reply, with its end:
 * `x-heddle-explain: service=shop/orders:80; rule=HTTPRoute shop/orders spec.rules[0]; target=Service shop/orders-v1:80 (90%, roll 0.42); …`.
 */
export function explainLine(decision: Decision): Buffer {
  const parts = partsOf(decision).map(
    ([name, text]) => `${name}=${text.slice(0, PART_CHARS_MAX).replaceAll(UNSAFE, '?')}`,
  );
  return Buffer.from(`${NAME}${parts.join('; ').slice(0, CHARS_MAX)}\r\n`, 'latin1');
}

type Part = readonly [name: string, text: string];

function partsOf(decision: Decision): readonly Part[] {
  const { frontend, port, backend, answer, failure, session, mirrors } = decision;
  return [
    ...(frontend === undefined
      ? []
      : [part('service', `${frontend.namespace}/${frontend.name}${port === undefined ? '' : `:${port.port}`}`)]),
    ...(decision.by === 'authority' ? [] : [part('by', decision.by)]),
    ...ruleParts(decision),
    ...faultParts(decision),
    ...(mirrors === 0 ? [] : [part('mirrors', String(bitsIn(mirrors)))]),
    ...(session === undefined
      ? []
      : [part('session', `${session.by} ${session.name} ${decision.endpointMark > 0 ? 'known' : 'new'}`)]),
    ...(answer === 'none' ? [] : [part('answer', answer)]),
    ...(failure === undefined ? [] : [part('failure', failure)]),
    // A rule's failure names the target that leads nowhere; the port's own backend would mislead.
    ...(backend === undefined || answer !== 'none' || failure !== undefined
      ? []
      : [part('backend', backend === BRIDGE_BACKEND.id ? BRIDGE_BACKEND.name : backend)]),
  ];
}

function ruleParts({ table, entry, rule, target, roll }: Decision): readonly Part[] {
  if (table === undefined) return [];
  if (rule === undefined) return [part('rule', 'none')];
  const { object, field } = rule.rule.source;
  const parts = [part('rule', `${object} ${field}`), part('match', table.table.entries[entry]?.field ?? '')];
  if (target === undefined) return parts;
  const { name, weight } = target.target;
  const percent = Math.round((100 * weight) / rule.weight);
  return [...parts, part('target', `${name} (${percent}%${roll < 0 ? '' : `, roll ${roll.toFixed(2)}`})`)];
}

function faultParts({ faultsBy, abortStatus, delayMs, throttleBytesPerS }: Decision): readonly Part[] {
  const faults = [
    ...(abortStatus === 0 ? [] : [`abort ${abortStatus}`]),
    ...(delayMs === 0 ? [] : [`delay ${Math.round(delayMs)}ms`]),
    ...(throttleBytesPerS === 0 ? [] : [`throttle ${throttleBytesPerS}B/s`]),
  ];
  return faults.length === 0 ? [] : [part('faults', `${faults.join(' ')} by ${faultsBy}`)];
}

function part(name: string, text: string): Part {
  return [name, text];
}

function bitsIn(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
