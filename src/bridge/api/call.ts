import type { Grants } from '../access.ts';
import type { CarriedCall } from '../carried-call.ts';

/** One call of the API, as its handler sees it: the request, read as far as the handler asks for, and one answer. */
export interface Call extends Pick<
  CarriedCall,
  | 'head'
  | 'source'
  | 'trace'
  | 'header'
  | 'body'
  | 'bodyPieces'
  | 'resumeBody'
  | 'expectReplyWithin'
  | 'describe'
  | 'reply'
  | 'problem'
  | 'stream'
  | 'write'
  | 'finish'
  | 'cut'
  | 'onWritable'
  | 'onAbort'
  | 'onDrain'
> {
  /** As they are now: what a call may do can change while it runs. */
  readonly grants: Grants;
  /** Values of the route's `{names}`, decoded once. */
  readonly path: Readonly<Record<string, string>>;
  /** As the route's schemas say, checked already. */
  readonly query: Readonly<Record<string, unknown>>;
  /** What callers may do has changed. Set by the handler. */
  onPolicies: (() => void) | undefined;
}
