import { problemOf } from '../../../model/problem.ts';
import type { Reading } from '../manifest.ts';

/** What one file holds. */
export interface FileReading extends Reading {
  /** The file was written to while it was read: this may be half of it. */
  readonly torn: boolean;
}

/** The reading of a file of which nothing could be read. */
export function unreadable(file: string, expected: string, got: string): FileReading {
  const problems = [problemOf(file, { field: '', expected, got })];
  return { objects: [], problems, whole: false, torn: false };
}
