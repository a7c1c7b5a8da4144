import type { Command } from 'commander';
import { formatDuration } from '../../lib/duration.ts';
import type { DeliveryView } from '../../model/admin.ts';
import { askingCommand, outputOption, withExamples, writeJson, writeTable, type AskOptions } from '../command.ts';
import { MESSAGES_GROUP } from '../groups.ts';
import type { Column } from '../table.ts';

/** `heddle nats deliveries` */
export function deliveriesCommand(): Command {
  const command = askingCommand('deliveries', {
    summary: 'Messages that go to Services: what waits, what was delivered, and what went wrong',
    group: MESSAGES_GROUP,
  })
    .addOption(outputOption())
    .action(async ({ admin, output }: AskOptions) => {
      const answer = await admin.deliveries();
      if (output === 'json') writeJson(answer);
      else writeTable(COLUMNS, answer.deliveries, 'No Service asks for messages (heddle.dev/nats-subscribe)');
    });
  return withExamples(command, [
    ['heddle nats deliveries', 'a line for each subscription'],
    ['heddle nats deliveries -o json', 'with what each worker does'],
    ['heddle problems', 'why one that is annotated is not here'],
  ]);
}

const COLUMNS: readonly Column<DeliveryView>[] = [
  { head: 'SUBSCRIPTION', text: ({ subscription }) => subscription },
  {
    head: 'STATE',
    text: ({ state }) => state,
    style: ({ state }) => (state === 'delivering' ? 'green' : 'yellow'),
  },
  { head: 'STREAM', text: ({ stream }) => (stream === '' ? '-' : stream) },
  { head: 'PENDING', align: 'right', text: ({ pending }) => String(pending) },
  {
    head: 'OLDEST',
    align: 'right',
    text: ({ oldestMs }) => (oldestMs === 0 ? '-' : formatDuration(Math.ceil(oldestMs / 1000) * 1000)),
  },
  { head: 'IN FLIGHT', align: 'right', text: ({ inFlight }) => String(inFlight) },
  { head: 'DELIVERED', align: 'right', text: ({ delivered }) => String(delivered) },
  { head: 'AGAIN', align: 'right', text: ({ redelivered }) => String(redelivered) },
  {
    head: 'FAILED',
    align: 'right',
    text: ({ failed }) => String(failed),
    style: ({ failed }) => (failed > 0 ? 'red' : undefined),
  },
  {
    head: 'DEAD',
    align: 'right',
    text: ({ deadLettered }) => String(deadLettered),
    style: ({ deadLettered }) => (deadLettered > 0 ? 'red' : undefined),
  },
  { head: 'RETURNED', align: 'right', text: ({ returned }) => String(returned) },
  { head: 'REASON', text: ({ reason, lastError }) => (reason === '' ? lastError : reason) },
];
