import type { Dice } from '../../lib/dice.ts';
import { parseFault } from '../../model/faults.ts';
import type { Fault } from '../../model/routing.ts';

/** The part of a decision that is about faults. */
export interface Faulted {
  faultsBy: 'nobody' | 'policy' | 'client';
  /** 0: none. */
  abortStatus: number;
  delayMs: number;
  /** Of the reply's body; 0: as fast as it comes. */
  throttleBytesPerS: number;
}

/** Each fault has its own dice. Of several of one type that befall one request, the worst does: the first abort, the longest delay. */
export function rollFaults(faults: readonly Fault[], dice: Dice, decision: Faulted): void {
  for (const fault of faults) {
    if (dice.roll() >= fault.share) continue;
    decision.faultsBy = 'policy';
    befall(fault, dice, decision);
  }
}

/**
 * What a client asks for by x-heddle-fault: `abort=503, delay=100ms, throttle=1KiB/s`, each at most once. A value that is anything
 * else asks for nothing: who tests with faults must not mistake half of them for all.
 */
export function faultsOfClient(value: string, decision: Faulted): void {
  if (value.length > VALUE_CHARS_MAX) return;
  const faults = value.split(',').map((item) => parseFault(item.trim(), 1));
  if (!faults.every((fault) => fault !== undefined && isCertain(fault))) return;
  if (new Set(faults.map((fault) => fault?.type)).size < faults.length) return;
  decision.faultsBy = 'client';
  for (const fault of faults) if (fault !== undefined) befall(fault, NO_DICE, decision);
}
const VALUE_CHARS_MAX = 128;
const NO_DICE: Dice = { roll: () => 0 };

/** A client that wants a time between two rolls its own dice. */
function isCertain(fault: Fault): boolean {
  return fault.type !== 'delay' || fault.leastMs === fault.mostMs;
}

function befall(fault: Fault, dice: Dice, decision: Faulted): void {
  switch (fault.type) {
    case 'abort':
      if (decision.abortStatus === 0) decision.abortStatus = fault.status;
      return;
    case 'delay': {
      const delayMs = fault.leastMs + Math.round(dice.roll() * (fault.mostMs - fault.leastMs));
      decision.delayMs = Math.max(decision.delayMs, delayMs);
      return;
    }
    case 'throttle': {
      const before = decision.throttleBytesPerS;
      decision.throttleBytesPerS = before === 0 ? fault.bytesPerS : Math.min(before, fault.bytesPerS);
    }
  }
}
