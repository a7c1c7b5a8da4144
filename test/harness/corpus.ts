import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One bad (or, as a control, good) request. */
export interface RequestCase {
  readonly id: string;
  readonly severity: 'must' | 'should';
  readonly raw: string;
  /** Pieces that are sent later. */
  readonly then?: readonly { readonly delayMs: number; readonly raw: string }[];
  /** The client closes its side after the last byte. */
  readonly halfClose?: boolean;
  readonly expect: RequestExpectation;
  readonly source: string;
}

export interface RequestExpectation {
  /** Allowed statuses of the first reply; 0 is no reply. */
  readonly status: readonly number[];
  /** `true`: the mesh must close the connection. */
  readonly close: boolean | null;
  readonly mustNotReachUpstream: boolean;
  /** Carrying it on, correctly, is as good as refusing it. */
  readonly orForward?: boolean;
  /** An incomplete part may have reached the upstream before the defect showed. */
  readonly partialOk?: boolean;
  /** The second request of the text is a request of its own. */
  readonly allowSmuggledPath?: boolean;
  /** What follows must not be tunnelled. */
  readonly smuggledNotRaw?: boolean;
  readonly forward?: ForwardExpectation;
}

/** How a request that is carried on must look upstream. */
export interface ForwardExpectation {
  readonly requests?: number | null;
  readonly body?: string;
  readonly targetIn?: readonly string[];
  readonly methodIn?: readonly string[];
  readonly hostIn?: readonly string[];
  readonly absent?: readonly string[];
  readonly absentTrailers?: readonly string[];
  /** Field to regular expression. */
  readonly present?: Readonly<Record<string, string>>;
  readonly headerNot?: Readonly<Record<string, string>>;
  /** The request is truncated, so it may arrive incomplete, and never complete. */
  readonly incompleteOk?: boolean;
}

/** One hostile answer of an upstream. */
export interface ReplyCase {
  readonly id: string;
  readonly severity: 'must' | 'should';
  readonly method: string;
  readonly raw: string;
  /** What the upstream does after the last byte. */
  readonly end: 'none' | 'fin' | 'rst';
  readonly expect: ReplyExpectation;
  readonly source: string;
}

export interface ReplyExpectation {
  readonly status: readonly number[];
  readonly body?: string;
  /** The client must be able to see that the body is not whole. */
  readonly truncated?: boolean;
  /** Every line of the head is correct. */
  readonly cleanHead?: boolean;
  readonly absent?: readonly string[];
  readonly count?: Readonly<Record<string, number>>;
}

export function requestCorpus(): RequestCase[] {
  return JSON.parse(readData('bad-requests.json')) as RequestCase[];
}

export function replyCorpus(): ReplyCase[] {
  return JSON.parse(readData('bad-responses.json')) as ReplyCase[];
}

/** The authority in the corpora. Lanes put a name of the same length in its place, so that lengths stay right. */
export const CORPUS_AUTHORITY = 'svc.test';

/** The name of a lane's Service: three characters, as `svc`. */
export function laneName(index: number): string {
  return `l${index.toString(36).padStart(2, '0')}`;
}

function readData(name: string): string {
  return readFileSync(join(import.meta.dirname, '..', 'data', name), 'utf8');
}
