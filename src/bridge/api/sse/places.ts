import { MessageProblem } from '../../problem.ts';

/** Open event streams of this thread. */
const ALL_MAX = 2000;
const SOURCE_MAX = 100;
/** Proxies cut connections that are silent for 30 to 60 s. */
const TICK_MS = 15_000;

/** One that has a place. */
export interface Occupant {
  /** Of the client. */
  readonly address: string;
  /** Called each 15 s. */
  onTick(): void;
}

const occupants = new Set<Occupant>();
const ofSource = new Map<string, number>();
let ticker: NodeJS.Timeout | undefined;

/** Undefined: it has a place, until `leave`. */
export function occupy(occupant: Occupant): MessageProblem | undefined {
  const { address } = occupant;
  const own = ofSource.get(address) ?? 0;
  if (own >= SOURCE_MAX) return tooMany(`from ${address}`, SOURCE_MAX);
  if (occupants.size >= ALL_MAX) return tooMany('on this worker', ALL_MAX);
  occupants.add(occupant);
  ofSource.set(address, own + 1);
  ticker ??= setInterval(tick, TICK_MS).unref();
  return undefined;
}

export function leave(occupant: Occupant): void {
  if (!occupants.delete(occupant)) return;
  const { address } = occupant;
  const rest = ofSource.get(address)! - 1;
  if (rest > 0) ofSource.set(address, rest);
  else ofSource.delete(address);
  if (occupants.size > 0) return;
  clearInterval(ticker);
  ticker = undefined;
}

function tick(): void {
  for (const occupant of occupants) occupant.onTick();
}

function tooMany(where: string, max: number): MessageProblem {
  return new MessageProblem('too-many-streams', `Expected at most ${max} open event streams ${where}, got more`);
}
