import { Client, exchange, sleep } from '../harness/client.ts';
import { replyCorpus } from '../harness/corpus.ts';
import { finalReplies } from '../harness/judge.ts';
import { Lanes } from '../harness/lanes.ts';
import { parseReply, quote, valueOf, type Reply, type Request } from '../harness/message.ts';
import { okReply } from '../harness/recorder.ts';
import type { UpstreamConnection } from '../harness/upstream.ts';
import type { Direction, Outcome, Trial } from './direction.ts';

const LANES = 96;
const SILENCE_MS = 150;

const VALID: readonly string[] = [
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n1;x\r\nd\r\n000003\r\nefg\r\na\r\n0123456789\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 44\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON',
  'HTTP/1.1 500 Bad\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2c\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n',
  'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\nETag: "a"\r\n\r\nok',
  'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
];

/** What the upstream of a lane must do now, and that it did. */
interface Task extends Trial {
  readonly done: () => void;
}

/** Fuzzes what upstreams answer: the client reads strictly, and the next client must be clean. */
export class ReplyDirection implements Direction {
  readonly name = 'replies';
  readonly valid: readonly string[];
  readonly invalid: readonly string[];
  readonly lanes = LANES;
  #lanes!: Lanes;
  /** By the number in the target. */
  readonly #tasks = new Map<number, Task>();
  #count = 0;

  private constructor() {
    const corpus = replyCorpus().filter(({ raw }) => raw.length > 0 && raw.length < 400);
    const controls = corpus.filter(({ id }) => id.startsWith('rs-ok'));
    this.valid = [...controls.map(({ raw }) => raw), ...VALID];
    this.invalid = corpus.map(({ raw }) => raw);
  }

  static async start(): Promise<ReplyDirection> {
    const direction = new ReplyDirection();
    direction.#lanes = await Lanes.start(LANES, {
      flags: ['--timeout-upstream-keepalive', '2s'],
      respond: (request, connection) => direction.#respond(request, connection),
    });
    return direction;
  }

  async run(index: number, trial: Trial): Promise<Outcome> {
    const { all, mesh } = this.#lanes;
    const lane = all[index % all.length];
    if (lane === undefined) throw new Error(`Expected lane ${index}, got none`);
    const number = this.#count++;
    const sent = new Promise<void>((done) => void this.#tasks.set(number, { ...trial, done }));
    const method = trial.text.length % 7 === 0 ? 'HEAD' : 'GET';
    const client = await Client.connect(mesh.port);
    client.send(`${method} /fuzz/${number} HTTP/1.1\r\nHost: ${lane.authority}\r\n\r\n`);
    // Without an attempt that reaches the upstream there is a reply by the mesh, or the mesh is stuck.
    await Promise.race([sent, client.until(() => client.received !== '', { waitMs: 4000 }).catch(() => {})]);
    const over = (): boolean => client.closing !== undefined || lastOf(client, method)?.complete === true;
    await client.until(over, { waitMs: SILENCE_MS }).catch(() => {});
    await client.quiet(4);
    client.destroy();
    this.#tasks.delete(number);
    const reasons = judge(trial, method, client);
    const next = await exchange(mesh.port, `GET /clean/${number} HTTP/1.1\r\nHost: ${lane.authority}\r\n\r\n`);
    if (next.status !== 200 || next.body !== `/clean/${number}`)
      reasons.push(`The next client got ${next.status} ${quote(next.body)}`);
    lane.recorder.take();
    return { reasons, summary: summarize(lastOf(client, method)) };
  }

  async stop(): Promise<void> {
    await this.#lanes.mesh.withoutClients();
    await this.#lanes.stop();
  }

  #respond(request: Request, connection: UpstreamConnection): void {
    const task = this.#tasks.get(Number(/^\/fuzz\/(\d+)$/.exec(request.target)?.[1] ?? Number.NaN));
    if (task === undefined) connection.send(okReply(request, request.target));
    else void say(task, connection).then(task.done);
  }
}

async function say({ text, cut, manner }: Task, connection: UpstreamConnection): Promise<void> {
  connection.send(manner === 'whole' ? text : text.slice(0, cut));
  await sleep(1);
  if (manner === 'split') {
    connection.send(text.slice(cut));
    await sleep(1);
  }
  if (manner === 'truncated') {
    if (isReset({ text, cut, manner })) connection.socket.resetAndDestroy();
    else connection.socket.end();
  } else if (endsWithConnection(text)) connection.socket.end();
  // Let the mesh read it, so that what is too much is not taken for the answer to the next request.
  await sleep(3);
}

function isReset({ cut, manner }: Trial): boolean {
  return manner === 'truncated' && cut % 2 === 1;
}

function endsWithConnection(text: string): boolean {
  return referenceOf(text, 'GET', false)?.framing === 'close';
}

/** The final reply as a strict reader understands it. */
function referenceOf(text: string, method: string, ended: boolean): Reply | undefined {
  let from = 0;
  for (;;) {
    const reply = parseReply(text, { from, method, ended, extensions: true });
    if (reply === undefined || reply.status >= 200 || reply.status === 101 || reply.faults.length > 0) return reply;
    from = reply.end;
  }
}

function lastOf({ received, closing }: Client, method: string): Reply | undefined {
  return finalReplies({ received, methods: [method], closed: closing === 'fin' })[0];
}

/** Whether a failure shows as a 502 or as a cut depends on how far the reply had gone, and so on the cut. */
function summarize(reply: Reply | undefined): string {
  const passed = reply?.complete === true && valueOf(reply, 'x-heddle-failure') === undefined;
  return passed ? `${reply.status} ${reply.body}` : 'failed';
}

function judge(trial: Trial, method: string, client: Client): string[] {
  const { text, cut, manner } = trial;
  const replies = finalReplies({ received: client.received, methods: [method], closed: client.closing === 'fin' });
  const [reply] = replies;
  const reasons = replies.flatMap(({ faults }) => faults);
  if (replies.length > 1) reasons.push(`${replies.length} replies to one request`);
  if (reply === undefined) return reasons;
  if (reply.end < client.received.length && reply.complete)
    reasons.push(`Bytes after the reply: ${quote(client.received.slice(reply.end))}`);
  if (reply.status === 101 || valueOf(reply, 'x-heddle-failure') === 'internal')
    reasons.push(`Expected no ${reply.line}`);
  if (!reply.complete || valueOf(reply, 'x-heddle-failure') !== undefined) return reasons;
  const said = manner === 'truncated' ? text.slice(0, cut) : text;
  const ended = manner === 'truncated' ? !isReset(trial) : endsWithConnection(text);
  const reference = referenceOf(said, method, ended);
  if (reference === undefined) return [...reasons, `A reply that the upstream never gave: ${quote(reply.line)}`];
  if (reference.faults.some((fault) => !/^(?:Control|Field)/.test(fault))) return reasons;
  if (!reference.complete)
    reasons.push(`The upstream's reply is incomplete, the client's is complete (${reply.framing})`);
  else if (reference.status !== reply.status || reference.body !== reply.body) {
    reasons.push(`Expected ${reference.status} ${quote(reference.body)}, got ${reply.status} ${quote(reply.body)}`);
  }
  return reasons;
}
