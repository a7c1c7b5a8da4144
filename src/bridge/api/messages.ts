import { nameRefusal } from '../../lib/subject.ts';
import { shown } from '../../lib/shown.ts';
import { type Field, httpFields, typed, visible } from '../headers.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { callRecord } from './record.ts';
import type { ApiParts, Route } from './route.ts';
import { askMessage } from './stream-api.ts';

const SEQUENCE = /^[1-9]\d{0,15}$/;

export const MESSAGE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/streams/{stream}/messages/{sequence}',
    operation: 'message',
    summary: 'One message of a stream, with its headers',
    parameters: {
      path: {
        stream: { type: 'string', description: 'Name of a stream' },
        sequence: { type: 'integer', minimum: 1, description: 'Of the message' },
      },
      query: {},
    },
    headers: {},
    takes: [],
    answers: [{ status: 200, description: 'Its body as it is', type: 'application/octet-stream' }],
    handle: message,
  },
];

function message(call: Call, { link }: ApiParts): void {
  const { stream, sequence } = call.path as { readonly stream: string; readonly sequence: string };
  const refusal = nameRefusal(stream);
  const grant = refusal === undefined ? call.grants.readStream(stream) : new MessageProblem('invalid-name', refusal);
  const record = callRecord('receive', grant, 1);
  call.describe(record);
  const problem = grant instanceof MessageProblem ? grant : SEQUENCE.test(sequence) ? undefined : noSequence(sequence);
  if (problem !== undefined) {
    call.problem(problem);
    return;
  }
  askMessage(link, stream, { seq: Number(sequence) }, (failed, stored) => {
    const fields = failed ?? httpFields(stored!.headers);
    if (fields instanceof MessageProblem) {
      call.problem(fields);
      return;
    }
    record.stream = stream;
    record.sequence = stored!.sequence;
    const about: readonly Field[] = [
      ['nats-subject', visible(stored!.subject)],
      ['nats-stream', stream],
      ['nats-sequence', sequence],
      ['nats-time', visible(stored!.time)],
    ];
    call.reply(200, [...typed(fields), ...about], stored!.body);
  });
}

function noSequence(text: string): MessageProblem {
  return new MessageProblem('invalid-parameter', `Expected a sequence from 1 on, got ${shown(text)}`);
}
