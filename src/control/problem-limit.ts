import { unchanged, unchangedList } from '../lib/unchanged.ts';
import { problemOf, type Problem } from '../model/problem.ts';

/** Of one stage: a flood of them is made by few, and paid for by all. */
const PROBLEMS_MAX = 10_000;

/**
 * The problems of a stage; of a flood the first ones, and a last one that says how many more there are.
 * @param before what came out last: the same list (===) where it holds the same.
 */
export function limitedProblems(
  parts: Iterable<readonly Problem[]>,
  before: readonly Problem[] | undefined,
): readonly Problem[] {
  const problems: Problem[] = [];
  let more = 0;
  for (const part of parts) {
    const taken = Math.min(part.length, PROBLEMS_MAX - problems.length);
    for (let index = 0; index < taken; index++) problems.push(part[index]!);
    more += part.length - taken;
  }
  if (more > 0) {
    const expected = `at most ${PROBLEMS_MAX} problems at a time (the others are not told)`;
    const last = problemOf('All others', { field: '', expected, got: `${more} more` });
    problems.push(unchanged(last, before?.[PROBLEMS_MAX]));
  }
  return unchangedList(problems, before);
}
