import { type Mismatch, type Origin, type Problem, problemOf } from '../../model/problem.ts';

/** Of one object: one that is wrong without end must not make problems without end, nor take time without end. */
export const MISMATCHES_MAX = 20;

/** What is wrong with an object, as so many problems at most. @param object as `objectName` calls it. */
export function problemsOf(
  object: string,
  mismatches: readonly Mismatch[],
  origin: Origin | undefined,
): readonly Problem[] {
  return mismatches.slice(0, MISMATCHES_MAX).map((mismatch) => problemOf(object, mismatch, origin));
}

/** The path of an annotation, for problems. */
export function annotationField(key: string): string {
  return `metadata.annotations[${JSON.stringify(key)}]`;
}
