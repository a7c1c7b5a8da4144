import type { MessageRecord } from '../../telemetry.ts';
import type { Grant } from '../access.ts';
import { MessageProblem } from '../problem.ts';

/**
 * The record of a call about messages: `ok` until it is otherwise.
 * @param grant that lets them pass, or why nothing does; undefined: there are several.
 */
export function messageRecord(
  operation: MessageRecord['operation'],
  grant: Grant | MessageProblem | undefined,
  messages: number,
): MessageRecord {
  return {
    operation,
    destination: grant === undefined || grant instanceof MessageProblem ? '' : grant.policy,
    stream: '',
    sequence: 0,
    messages,
    result: 'ok',
    consumer: '',
    attempt: 0,
    producer: '',
  };
}
