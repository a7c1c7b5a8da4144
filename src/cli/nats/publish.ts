import { Option, type Command } from 'commander';
import { harmless } from '../../lib/shown.ts';
import { jsonLine, outputOption, withExamples } from '../command.ts';
import { bridgeCommand, type BridgeOptions } from './client.ts';
import { bodyGiven, headerOption, SEND_EXIT_CODES, type GivenHeaders } from './outgoing.ts';

/** A stream may take a while; the bridge itself answers sooner. */
const TIMEOUT_MS = 30_000;

interface PublishOptions extends BridgeOptions {
  readonly ack?: 'none' | 'server' | 'stream';
  readonly header?: GivenHeaders;
  readonly id?: string;
  readonly ttl?: string;
  readonly delay?: string;
  readonly output: 'table' | 'json';
}

/** `heddle nats pub` */
export function publishCommand(): Command {
  const command = bridgeCommand('pub', 'Publish a message')
    .argument('<SUBJECT>', 'where to, as orders.created')
    .argument('[BODY]', 'what; - is standard input; default: nothing')
    .addOption(
      new Option(
        '--ack <WHO>',
        'who has to have it before it counts; default: server, or stream with what only a stream does',
      ).choices(['none', 'server', 'stream']),
    )
    .addOption(headerOption())
    .option('--id <KEY>', 'a stream does not keep a second message with this key (Idempotency-Key)')
    .option('--ttl <DURATION>', 'how long a stream keeps it, as 1h')
    .option('--delay <DURATION>', 'after which time a stream publishes it, as 90s')
    .addOption(outputOption())
    .action(publish);
  return withExamples(
    command,
    [
      [`heddle nats pub demo.orders.created '{"item":"tea"}'`, 'the NATS server has it'],
      ['heddle nats pub orders.created --ack stream --id 17 - < o.json', 'a stream keeps it, and only once'],
      ['heddle nats pub orders.remind --delay 1h "Pay"', 'a stream publishes it in an hour'],
    ],
    { 0: 'it was taken', ...SEND_EXIT_CODES, 5: `${SEND_EXIT_CODES[5]}: with --id, a stream takes it once` },
  );
}

async function publish(subject: string, body: string | undefined, options: PublishOptions): Promise<void> {
  const { bridge, ack, header = {}, id, ttl, delay, output } = options;
  const query = new URLSearchParams({
    ...(ack === undefined ? {} : { ack }),
    ...(delay === undefined ? {} : { delay }),
  });
  const answer = await bridge.ask(`/v1/publish/${encodeURIComponent(subject)}?${query.toString()}`, {
    method: 'POST',
    headers: {
      ...header,
      ...(id === undefined ? {} : { 'idempotency-key': id }),
      ...(ttl === undefined ? {} : { 'nats-ttl': ttl }),
    },
    body: await bodyGiven(body),
    timeoutMs: TIMEOUT_MS,
    sends: true,
  });
  await bridge.read(answer, true);
  const { 'nats-stream': stream, 'nats-sequence': sequence, 'nats-duplicate': duplicate } = answer.headers;
  const isDuplicate = duplicate === 'true';
  if (output === 'json') {
    const stored = stream === undefined ? {} : { stream, sequence: Number(sequence), duplicate: isDuplicate };
    process.stdout.write(jsonLine({ outcome: stream === undefined ? 'sent' : 'stored', ...stored }));
  } else if (stream === undefined) {
    process.stdout.write(ack === 'none' ? 'Sent\n' : 'Sent: the NATS server has it\n');
  } else {
    const place = harmless(`${String(stream)}:${String(sequence)}`);
    process.stdout.write(`${isDuplicate ? 'Stored before' : 'Stored'}: ${place}\n`);
  }
}
