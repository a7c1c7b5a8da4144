import { connect } from 'node:net';

const WAIT_MS = 5000;
const KEPT_BYTES_MAX = 64 * 1024 * 1024;
const CRLF = '\r\n';
const INBOX = '_INBOX.heddle-demo';

/**
 * What the try-out keeps messages in, by the name of the call that makes it (API of JetStream). Not all of demo.>: a stream answers
 * requests on what it binds. The second is the bucket of keys `demo` (ADR-8), the third a consumer to pull from.
 */
const MADE = {
  'STREAM.CREATE.DEMO': {
    name: 'DEMO',
    subjects: ['demo.orders.>'],
    storage: 'file',
    max_bytes: KEPT_BYTES_MAX,
    allow_direct: true,
  },
  'STREAM.CREATE.KV_demo': {
    name: 'KV_demo',
    subjects: ['$KV.demo.>'],
    storage: 'file',
    max_bytes: KEPT_BYTES_MAX,
    max_msgs_per_subject: 8,
    discard: 'new',
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  },
  'CONSUMER.CREATE.DEMO.reports': {
    stream_name: 'DEMO',
    config: { name: 'reports', durable_name: 'reports', ack_policy: 'explicit' },
  },
};

/**
 * Makes them, by the protocol of NATS as text: the client library is the bridge's alone. One after another: the server may do what
 * came together in any order, and a consumer needs its stream.
 *
 * @returns the version of the server
 */
export async function createStreams(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, timeout: WAIT_MS });
  socket.on('timeout', () => socket.destroy(new Error(`Expected an answer of nats-server, got none in ${WAIT_MS} ms`)));
  const calls = Object.entries(MADE);
  try {
    let text = '';
    let version: string | undefined;
    socket.setEncoding('utf8');
    for await (const piece of socket as AsyncIterable<string>) {
      text += piece;
      if (version === undefined) {
        const info = /^INFO (\{.*\}) ?\r\n/.exec(text)?.[1];
        if (info === undefined) continue;
        ({ version } = JSON.parse(info) as { readonly version: string });
        socket.write(`CONNECT {"verbose":false}${CRLF}SUB ${INBOX} 1${CRLF}`);
      } else {
        const answer = /^(\{.*\})\r\n/m.exec(text)?.[1];
        if (answer === undefined) continue;
        const { error } = JSON.parse(answer) as { readonly error?: { readonly description: string } };
        if (error !== undefined) throw new Error(`Expected streams to be made, got "${error.description}"`);
      }
      text = '';
      const next = calls.shift();
      if (next === undefined) return version;
      socket.write(call(next));
    }
    throw new Error('Expected nats-server to stay, got the end of the connection');
  } finally {
    socket.destroy();
  }
}

function call([name, question]: readonly [string, object]): string {
  const json = JSON.stringify(question);
  return `PUB $JS.API.${name} ${INBOX} ${json.length}${CRLF}${json}${CRLF}`;
}
