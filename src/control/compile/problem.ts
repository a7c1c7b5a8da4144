import type { Origin, Problem } from '../../model/problem.ts';

/** The problem of one field of an object, with the line of that field where it is known. */
export function problemOf(
  kind: string,
  { namespace, name, origin }: { namespace: string; name: string; origin?: Origin },
  fault: Omit<Problem, 'object' | 'origin'>,
): Problem {
  const problem = { object: `${kind} ${namespace}/${name}`, ...fault };
  if (origin === undefined) return problem;
  return { ...problem, origin: { file: origin.file, line: origin.fieldLines?.[fault.field] ?? origin.line } };
}
