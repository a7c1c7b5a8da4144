import { Command } from 'commander';
import { MESSAGES_GROUP } from './groups.ts';
import { deliveriesCommand } from './nats/deliveries.ts';
import { publishCommand } from './nats/publish.ts';
import { requestCommand } from './nats/request.ts';
import { subscribeCommand } from './nats/subscribe.ts';

const EXAMPLES = `
They speak HTTP to the bridge of a node, as any program can. How one is used, and its exit codes: heddle nats pub --help

Examples:
  heddle nats sub 'demo.>'                               in one terminal
  heddle nats pub demo.orders.created '{"item":"tea"}'   in another
  heddle nats deliveries                                 what goes to Services, and what went wrong
  curl http://127.0.0.1:4280/v1/openapi.json             all that the bridge can do
`;

/** `heddle nats`, with commands of its own. */
export function natsCommand(): Command {
  const command = new Command('nats')
    .description('Publish, ask and listen through the bridge to NATS; what goes to Services')
    .helpGroup(MESSAGES_GROUP)
    .configureHelp({ helpWidth: process.stdout.columns ?? 120, subcommandTerm: (one) => one.name() })
    .helpCommand(false)
    .addHelpText('after', EXAMPLES);
  for (const one of [publishCommand(), requestCommand(), subscribeCommand(), deliveriesCommand()])
    command.addCommand(one);
  return command;
}
