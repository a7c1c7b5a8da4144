import type { Mismatch } from '../../../model/problem.ts';
import type { RouteCondition } from '../../../model/routing.ts';

/** A value that cannot be obeyed, in the words of a condition. */
export interface Refusal extends Mismatch {
  readonly reason: Extract<RouteCondition['reason'], 'UnsupportedValue' | 'IncompatibleFilters'>;
}

/** A reference that leads nowhere. */
export interface Unresolved extends Mismatch {
  readonly reason: Extract<
    RouteCondition['reason'],
    'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedProtocol'
  >;
}

/** What is found while a rule is read. */
export class Findings {
  /** Each costs the rule. */
  readonly refusals: Refusal[] = [];
  /** Each costs the share of a target. */
  readonly unresolved: Unresolved[] = [];
  /** What costs nothing more than itself. */
  readonly hints: Mismatch[] = [];

  refuse(
    field: string,
    { expected, got }: Omit<Mismatch, 'field'>,
    reason: Refusal['reason'] = 'UnsupportedValue',
  ): undefined {
    this.refusals.push({ field, expected, got, reason });
  }

  hint(field: string, { expected, got }: Omit<Mismatch, 'field'>): void {
    this.hints.push({ field, expected, got });
  }
}
