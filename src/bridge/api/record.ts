import type { MessageRecord } from '../../telemetry.ts';
import type { Grant } from '../access.ts';
import { messageRecord } from '../message-record.ts';
import { MessageProblem } from '../problem.ts';

/** The record of a call about messages. @param grant that lets them pass, or why nothing does; undefined: there are several. */
export function callRecord(
  operation: MessageRecord['operation'],
  grant: Grant | MessageProblem | undefined,
  messages: number,
): MessageRecord {
  const policy = grant === undefined || grant instanceof MessageProblem ? '' : grant.policy;
  return messageRecord(operation, policy, messages);
}
