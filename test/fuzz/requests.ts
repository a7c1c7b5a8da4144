import { Client, eventually, sleep } from '../harness/client.ts';
import { CORPUS_AUTHORITY, requestCorpus } from '../harness/corpus.ts';
import { finalReplies, methodsOf } from '../harness/judge.ts';
import { Lanes } from '../harness/lanes.ts';
import { parseRequest, quote, valueOf, type Reply, type Request } from '../harness/message.ts';
import type { Recording } from '../harness/recorder.ts';
import type { Direction, Outcome, Trial } from './direction.ts';

const LANES = 96;
/** How long a text may stay without any answer before it counts as incomplete. */
const SILENCE_MS = 400;
const SETTLE_MS = 25;
const HEAD = `Host: ${CORPUS_AUTHORITY}\r\n`;

const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const VALID: readonly string[] = [
  `POST /a HTTP/1.1\r\n${CHUNKED}1\r\na\r\n2\r\nbc\r\n1;x\r\nd\r\n000003\r\nefg\r\n0\r\n\r\nPUT /b HTTP/1.1\r\n${CHUNKED}a\r\n0123456789\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n`,
  `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 46\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: svc.test\r\n\r\n1234GET /b HTTP/1.1\r\n${HEAD}\r\n`,
  `POST /a HTTP/1.1\r\n${CHUNKED}2e\r\nGET /smuggled HTTP/1.1\r\nHost: svc.test\r\n\r\n1234\r\n0\r\n\r\nGET /b HTTP/1.1\r\n${HEAD}\r\n`,
  `HEAD /a HTTP/1.1\r\n${HEAD}\r\nOPTIONS * HTTP/1.1\r\n${HEAD}\r\nDELETE /b HTTP/1.1\r\n${HEAD}Content-Length: 1\r\n\r\nxGET /c HTTP/1.0\r\n${HEAD}Connection: keep-alive\r\n\r\n`,
  `GET /a HTTP/1.1\r\n${HEAD}Connection: close, X-A\r\nX-A: 1\r\nTE: trailers, gzip\r\nKeep-Alive: 1\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n`,
  `GET http://${CORPUS_AUTHORITY}/a?b HTTP/1.1\r\n${HEAD}\r\n`,
  `GET /_svc/test/none/a HTTP/1.1\r\nHost: x\r\n\r\n`,
  `POST /a HTTP/1.1\r\n${HEAD}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`,
  `GET /a HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /c HTTP/1.1\r\n${HEAD}\r\n`,
];

/** Fuzzes what clients send: each lane has its own Service and its own strict recorder upstream. */
export class RequestDirection implements Direction {
  readonly name = 'requests';
  readonly valid: readonly string[];
  readonly invalid: readonly string[];
  readonly lanes = LANES;
  readonly #lanes: Lanes;

  private constructor(lanes: Lanes) {
    this.#lanes = lanes;
    const corpus = requestCorpus().filter(({ raw }) => raw.length < 400);
    const controls = corpus.filter(({ id }) => id.startsWith('ok-'));
    this.valid = [...controls.map(({ raw }) => raw), ...VALID];
    this.invalid = corpus.map(({ raw }) => raw);
  }

  static async start(): Promise<RequestDirection> {
    return new RequestDirection(await Lanes.start(LANES, { flags: ['--timeout-upstream-keepalive', '2s'] }));
  }

  async run(index: number, { text, cut, manner }: Trial): Promise<Outcome> {
    const { all, mesh } = this.#lanes;
    const lane = all[index % all.length];
    if (lane === undefined) throw new Error(`Expected lane ${index}, got none`);
    const message = text.replaceAll(CORPUS_AUTHORITY, lane.authority);
    const client = await Client.connect(mesh.port);
    const sent = manner === 'truncated' ? message.slice(0, cut) : message;
    await client.sendPieces(manner === 'split' ? [message.slice(0, cut), message.slice(cut)] : [sent], 1);
    if (manner !== 'truncated') await answered(client);
    client.end();
    // The mesh has nothing to wait for any more, whatever it was sent.
    const left = await client.closed(3000).then(
      () => false,
      () => true,
    );
    client.destroy();
    // What was on its way to the upstream when the client left must not be taken for the next trial's.
    await sleep(SETTLE_MS);
    await eventually(() => !lane.recorder.expecting, { waitMs: 500 }).catch(() => {});
    const recordings = lane.recorder.take();
    // In the order in which they ended, whatever connections carried them.
    const complete = lane.recorder.requests.splice(0);
    const { received } = client;
    const replies = finalReplies({ received, methods: methodsOf(sent), closed: client.closing === 'fin' });
    const reasons = judge({ sent, replies, recordings, complete });
    if (left) reasons.push('The connection was left open though the client has closed its side');
    if (client.received !== '' && replies.length === 0 && !client.received.startsWith('HTTP/1.1 1'))
      reasons.push(`No reply: ${quote(client.received)}`);
    const summary = summarize(replies, complete).replaceAll(lane.authority, CORPUS_AUTHORITY);
    return { reasons, summary };
  }

  async stop(): Promise<void> {
    await this.#lanes.mesh.withoutClients();
    await this.#lanes.stop();
  }
}

/** Until the answers have come, or it is clear that none will come. */
async function answered(client: Client): Promise<void> {
  const some = (): boolean => client.closing !== undefined || /(?:^|\r\n\r\n)HTTP\/1\.1 [2-5]/.test(client.received);
  await client.until(some, { waitMs: SILENCE_MS }).catch(() => {});
  // With the time that the mesh gives who has closed its side, what further answers may take on a busy machine.
  await client.quiet(20);
}

interface Seen {
  readonly sent: string;
  readonly replies: readonly Reply[];
  readonly recordings: readonly Recording[];
  readonly complete: readonly Request[];
}

function judge({ sent, replies, recordings, complete }: Seen): string[] {
  const requests = recordings.flatMap((recording) => recording.requests);
  const reasons = [...requests, ...replies].flatMap(({ faults }) => faults);
  if (recordings.some(({ rest }) => rest !== '' && /[^A-Z]/.test(rest.slice(0, 3))))
    reasons.push('Bytes upstream that are no request');
  if (recordings.some(({ closed, requests: all }) => !closed && all.some((request) => !request.complete))) {
    reasons.push('An incomplete request was left open upstream');
  }
  if (replies.some(({ status }) => status === 500)) reasons.push('The mesh had a defect: 500');
  const passed = replies.filter(({ status, complete: whole }) => status === 200 && whole).length;
  if (passed > complete.length) reasons.push(`${passed} answers for ${complete.length} requests`);
  if (complete.length > replies.length + 1)
    reasons.push(`${complete.length} requests upstream, ${replies.length} replies`);
  return [...reasons, ...compare({ sent, replies, complete })];
}

/**
 * As long as the text is beyond doubt, what arrives upstream is what was sent: the same requests with the same bodies,
 * without those that the mesh answered by itself.
 */
function compare({ sent, replies, complete }: Pick<Seen, 'sent' | 'replies' | 'complete'>): string[] {
  let from = 0;
  let next = 0;
  for (let index = 0; next < complete.length; index++) {
    const request = complete[next];
    const meant = parseRequest(sent, from, { extensions: true });
    if (request === undefined || (meant !== undefined && meant.faults.length > 0)) return [];
    if (meant === undefined) return [`A request that was never sent: ${quote(request.line)}`];
    if (!meant.complete) return [`A request that was never completed: ${quote(request.line)}`];
    from = meant.end;
    const reply = replies[index];
    const answeredByMesh = reply !== undefined && valueOf(reply, 'x-heddle-failure') !== undefined;
    if (answeredByMesh || !/\bl[0-9a-z]{2}\.test/i.test(`${meant.target} ${valueOf(meant, 'host')}`)) continue;
    if (meant.method !== request.method || meant.body !== request.body) {
      const got = `${quote(request.line)} with ${quote(request.body)}`;
      return [`Sent ${quote(meant.line)} with ${quote(meant.body)}, got ${got}`];
    }
    next++;
  }
  return [];
}

function summarize(replies: readonly Reply[], complete: readonly Request[]): string {
  const upstream = complete.map(({ method, target, body }) => `${method} ${target} ${body}`);
  return `${replies.map(({ status }) => status).join(',')} <- ${upstream.join(' | ')}`;
}
