import { CarriedCall } from './carried-call.ts';
import type { MessageProblem } from './problem.ts';

/** Answers whatever it is to carry with one problem: for as long as nothing can be carried. */
export class RefusingCarrier extends CarriedCall {
  readonly #problem: MessageProblem;

  constructor(problem: MessageProblem) {
    super();
    this.#problem = problem;
  }

  protected override begin(): void {
    this.problem(this.#problem);
  }
}
