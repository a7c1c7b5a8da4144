import type { ForwardExpectation, ReplyCase, RequestCase } from './corpus.ts';
import { parseReply, parseRequest, quote, valueOf, valuesOf, type Reply, type Request } from './message.ts';
import type { Recording } from './recorder.ts';

/** What a client and the upstream saw of one request case. */
export interface Seen {
  readonly received: string;
  readonly closed: boolean;
  readonly upstream: readonly Recording[];
  /** What the client sent. */
  readonly sent: string;
}

/** Judges one case; each string is one reason why it failed. */
export function judgeRequest(testCase: RequestCase, seen: Seen): string[] {
  const { expect } = testCase;
  const replies = finalReplies({ ...seen, methods: methodsOf(seen.sent) });
  const status = replies[0]?.status ?? 0;
  const reached = seen.upstream.length > 0;
  const allowed = expect.status.includes(status);
  const reasons = replies.flatMap(({ faults }) => faults);
  reasons.push(...dangers(testCase, seen));
  if (status >= 200 && status < 300) {
    if (!(allowed && !expect.mustNotReachUpstream) && !(expect.orForward === true && reached)) {
      reasons.push(`Expected ${expect.status.join(' or ')}, got ${status}`);
    }
    reasons.push(...judgeForward(expect.forward ?? {}, seen.upstream));
    const wanted = expect.forward?.requests ?? 0;
    if (wanted > 1 && replies.length !== wanted) reasons.push(`Expected ${wanted} replies, got ${replies.length}`);
  } else {
    if (!allowed)
      reasons.push(`Expected ${expect.status.join(' or ')}, got ${status} ${seen.closed ? 'and a close' : ''}`);
    if (expect.mustNotReachUpstream && reached && expect.partialOk !== true) {
      reasons.push(`Expected nothing upstream, got ${quote(seen.upstream[0]?.raw ?? '')}`);
    }
    if (
      seen.upstream.some(({ requests }) => requests.some(({ complete }) => complete)) &&
      expect.mustNotReachUpstream
    ) {
      reasons.push('A refused request was completed upstream');
    }
  }
  const carried = status >= 200 && status < 300 && expect.orForward === true;
  if (expect.close === true && !carried && !seen.closed)
    reasons.push('Expected the connection to be closed, it is open');
  return reasons;
}

/** What must never happen, whatever the case expects. */
function dangers({ expect }: RequestCase, { upstream }: Seen): string[] {
  const requests = upstream.flatMap((recording) => recording.requests);
  const reasons = requests.flatMap(({ faults }) => faults);
  if (expect.allowSmuggledPath !== true && requests.some(({ target }) => target.startsWith('/smuggled'))) {
    reasons.push('A smuggled request reached the upstream');
  }
  if (expect.smuggledNotRaw === true && upstream.some(({ raw }) => raw.includes('/smuggled\x01raw'))) {
    reasons.push('Bytes were tunnelled without a 101');
  }
  if (upstream.some(({ rest }) => /[\r\n]/.test(rest)))
    reasons.push(`Bytes that are no request: ${quote(upstream.at(-1)?.rest ?? '')}`);
  const incompleteLeft = upstream.some(({ requests: all, closed }) => !closed && all.some(({ complete }) => !complete));
  if (incompleteLeft) reasons.push('An incomplete request was left open upstream');
  return reasons;
}

function judgeForward(forward: ForwardExpectation, upstream: readonly Recording[]): string[] {
  const requests = upstream.flatMap((recording) => recording.requests);
  const reasons: string[] = [];
  if (typeof forward.requests === 'number' && requests.length !== forward.requests) {
    reasons.push(`Expected ${forward.requests} requests upstream, got ${requests.length}`);
  }
  if (requests.some(({ complete }) => complete === (forward.incompleteOk === true))) {
    reasons.push(
      forward.incompleteOk === true ? 'A truncated request was completed upstream' : 'A request is incomplete upstream',
    );
  }
  const [first] = requests;
  if (first !== undefined) reasons.push(...judgeFirst(forward, first));
  for (const request of requests) reasons.push(...judgeEach(forward, request));
  return reasons;
}

function judgeFirst(forward: ForwardExpectation, request: Request): string[] {
  const reasons: string[] = [];
  const host = valueOf(request, 'host')?.replace(/:\d+$/, '');
  if (forward.body !== undefined && request.body !== forward.body) reasons.push(`Body ${quote(request.body)}`);
  if (forward.targetIn?.includes(request.target) === false) reasons.push(`Target ${quote(request.target)}`);
  if (forward.methodIn?.includes(request.method) === false) reasons.push(`Method ${quote(request.method)}`);
  if (forward.hostIn?.includes(host ?? '') === false) reasons.push(`Host ${host}`);
  for (const [name, pattern] of Object.entries(forward.present ?? {})) {
    if (!valuesOf(request, name).some((value) => new RegExp(pattern).test(value)))
      reasons.push(`Field ${name} is missing`);
  }
  return reasons;
}

function judgeEach(forward: ForwardExpectation, request: Request): string[] {
  const reasons: string[] = [];
  for (const name of forward.absent ?? []) {
    if (valuesOf(request, name).length > 0) reasons.push(`Field ${name} was carried on`);
  }
  for (const name of forward.absentTrailers ?? []) {
    if (valuesOf({ fields: request.trailers }, name).length > 0) reasons.push(`Trailer ${name} was carried on`);
  }
  for (const [name, pattern] of Object.entries(forward.headerNot ?? {})) {
    if (valuesOf(request, name).some((value) => new RegExp(pattern).test(value)))
      reasons.push(`Field ${name} has a forbidden value`);
  }
  return reasons;
}

/** What one client saw of a hostile answer. */
export interface ReplySeen {
  readonly received: string;
  readonly closing: 'fin' | 'reset' | undefined;
}

export function judgeReply({ expect, method }: ReplyCase, { received, closing }: ReplySeen): string[] {
  const replies = finalReplies({ received, methods: [method], closed: closing === 'fin' });
  const [reply] = replies;
  if (reply === undefined)
    return [`Expected ${expect.status.join(' or ')}, got ${quote(received)} (${closing ?? 'open'})`];
  const reasons = [...reply.faults];
  if (!expect.status.includes(reply.status))
    reasons.push(`Expected ${expect.status.join(' or ')}, got ${reply.status}`);
  if (/POISON|HTTP\/1\.1 [0-9]{3}/.test(received.slice(reply.end)) || replies.length > 1)
    reasons.push('A second reply was delivered');
  if (reply.status < 200 || reply.status > 299) return reasons;
  if (expect.body !== undefined && reply.body !== expect.body) reasons.push(`Body ${quote(reply.body)}`);
  if (expect.truncated === true && reply.complete)
    reasons.push(`The truncation is hidden from the client (${reply.framing})`);
  for (const name of expect.absent ?? [])
    if (valuesOf(reply, name).length > 0) reasons.push(`Field ${name} was carried on`);
  for (const [name, count] of Object.entries(expect.count ?? {})) {
    if (valuesOf(reply, name).length !== count)
      reasons.push(`Expected ${count} ${name}, got ${valuesOf(reply, name).length}`);
  }
  return reasons;
}

/**
 * The final replies among what was received, in order; the last may be incomplete. `methods` are those of the requests, as
 * far as they are known: the reply to HEAD has no body.
 */
export function finalReplies({
  received,
  methods,
  closed,
}: {
  received: string;
  methods: readonly string[];
  closed: boolean;
}): Reply[] {
  const replies: Reply[] = [];
  let from = 0;
  for (;;) {
    const reply = parseReply(received, { from, method: methods[replies.length] ?? 'GET', ended: closed });
    if (reply === undefined) return replies;
    if (reply.status >= 200 || reply.status === 101) replies.push(reply);
    if (!reply.complete || reply.status === 101) return replies;
    from = reply.end;
  }
}

/** The methods of requests as a reader who forgives everything but the framing would see them. */
export function methodsOf(sent: string): string[] {
  const methods: string[] = [];
  let from = 0;
  for (;;) {
    while (sent.startsWith('\r\n', from)) from += 2;
    const request = parseRequest(sent, from, { extensions: true });
    if (request === undefined) return [...methods, sent.slice(from, sent.indexOf(' ', from))];
    methods.push(request.line.slice(0, request.line.indexOf(' ')));
    if (!request.complete) return methods;
    from = request.end;
  }
}
