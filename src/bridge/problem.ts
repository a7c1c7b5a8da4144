/** What became of a message that a caller wanted to be sent: the one thing a publisher needs after an error. */
export type Outcome = 'not-sent' | 'unknown' | 'stored';

interface ProblemKind {
  readonly status: number;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  readonly outcome: Outcome;
  readonly title: string;
}

const NOT_SENT = { retryable: false, outcome: 'not-sent' } as const;
const LATER = { retryable: true, outcome: 'not-sent' } as const;

/** Each way in which the bridge says no, with its HTTP status. README has the same table; a test holds both together. */
export const PROBLEMS = {
  'invalid-subject': { ...NOT_SENT, status: 400, title: 'The subject is none that a client may name' },
  'invalid-name': { ...NOT_SENT, status: 400, title: 'The name of a stream, consumer, bucket or key is malformed' },
  'invalid-header': {
    ...NOT_SENT,
    status: 400,
    title: 'A header cannot go into a message, or is not for clients to set',
  },
  'invalid-parameter': { ...NOT_SENT, status: 400, title: 'A parameter of the query or a header has no such value' },
  'invalid-body': { ...NOT_SENT, status: 400, title: 'The body is not what its Content-Type says' },
  'invalid-event': { ...NOT_SENT, status: 400, title: 'The CloudEvent breaks the rules of its specification' },
  'invalid-token': { ...NOT_SENT, status: 400, title: 'The token is none of this bridge, or of another caller' },
  'not-allowed': { ...NOT_SENT, status: 403, title: 'No NatsPolicy allows this caller to do that' },
  'no-such-route': { ...NOT_SENT, status: 404, title: 'The bridge has nothing at this path' },
  'no-stream': { ...NOT_SENT, status: 404, title: 'There is no such stream, or none binds the subject' },
  'no-consumer': { ...NOT_SENT, status: 404, title: 'The stream has no such consumer' },
  'no-bucket': { ...NOT_SENT, status: 404, title: 'There is no such bucket' },
  'no-key': { ...NOT_SENT, status: 404, title: 'The bucket has no such key, or not at this revision' },
  'no-message': { ...NOT_SENT, status: 404, title: 'The stream has no message of this sequence' },
  'method-not-allowed': { ...NOT_SENT, status: 405, title: 'The path is known, but not with this method' },
  'not-acceptable': { ...NOT_SENT, status: 406, title: 'Nothing of what Accept names can be answered here' },
  'wrong-stream': { ...NOT_SENT, status: 409, title: 'The subject is bound by another stream than was expected' },
  'expired-token': {
    ...NOT_SENT,
    status: 410,
    title: 'The message is or will be delivered again: its token has expired',
  },
  'precondition-failed': { ...NOT_SENT, status: 412, title: 'The last sequence or revision is not what was expected' },
  'too-large': {
    ...NOT_SENT,
    status: 413,
    title: 'The message is larger than the server, the stream or the policy takes',
  },
  'unsupported-media-type': {
    ...NOT_SENT,
    status: 415,
    title: 'Nothing is known to be done with this Content-Type here',
  },
  'not-for-this-stream': {
    ...NOT_SENT,
    status: 422,
    title: 'The stream does not take messages with this TTL or delay, or of this kind',
  },
  'rate-limited': { ...LATER, status: 429, title: 'The policy allows fewer messages per second' },
  'too-many-streams': { ...LATER, status: 429, title: 'This caller has as many open event streams as it may have' },
  'internal': { ...NOT_SENT, status: 500, outcome: 'unknown', title: 'A defect in Heddle; please report it' },
  'not-supported': {
    ...NOT_SENT,
    status: 501,
    title: 'The connected server, or the settings of this node, cannot do that',
  },
  'not-a-stream': {
    ...NOT_SENT,
    status: 502,
    outcome: 'unknown',
    title: 'Something answered that is no stream: whether it took the message is not known',
  },
  'bad-reply': { ...NOT_SENT, status: 502, outcome: 'unknown', title: 'The reply cannot be passed on' },
  'broker-error': { ...LATER, status: 502, outcome: 'unknown', title: 'The NATS server refused or failed' },
  'no-broker': {
    ...LATER,
    status: 503,
    title: 'No NATS server is configured, or none can be reached: nothing was sent',
  },
  'no-responders': { ...LATER, status: 503, title: 'Nobody answers requests on this subject' },
  'busy': { ...LATER, status: 503, title: 'Too much is on its way to the NATS server' },
  'draining': { ...LATER, status: 503, title: 'This node is about to end' },
  'stream-full': { ...LATER, status: 503, title: 'The stream is full and takes nothing more' },
  'link-lost': {
    ...LATER,
    status: 503,
    outcome: 'unknown',
    title: 'The connection to the NATS server broke: the message may have arrived or not',
  },
  'timeout': {
    ...LATER,
    status: 504,
    outcome: 'unknown',
    title: 'No answer came in time: the message may have arrived or not',
  },
  'storage-full': { ...LATER, status: 507, title: 'The storage of the account is used up' },
  'loop': { ...NOT_SENT, status: 508, title: 'The message went through the mesh too often' },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Why the bridge says no. An object for each: they are rare, or made once. */
export class MessageProblem {
  readonly code: ProblemCode;
  /** What was expected and what was got. */
  readonly detail: string;
  readonly outcome: Outcome;
  /** Further members of the problem document (RFC 9457 section 3.2): `stream`, `seq`, `max_payload`, `server`. */
  readonly members: Readonly<Record<string, string | number>>;

  constructor(
    code: ProblemCode,
    detail: string,
    {
      outcome,
      ...members
    }: { readonly outcome?: Outcome; readonly [member: string]: string | number | undefined } = {},
  ) {
    this.code = code;
    this.detail = detail;
    this.outcome = outcome ?? PROBLEMS[code].outcome;
    this.members = members as Readonly<Record<string, string | number>>;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }
}

const DETAIL_CHARS_MAX = 500;

/** As a problem document (RFC 9457). */
export function problemDocument({ code, detail, outcome, members }: MessageProblem): Buffer {
  const { status, title, retryable } = PROBLEMS[code];
  const text = detail.slice(0, DETAIL_CHARS_MAX);
  const document = { type: 'about:blank', title, status, detail: text, code, outcome, retryable, ...members };
  return Buffer.from(`${JSON.stringify(document)}\n`);
}
