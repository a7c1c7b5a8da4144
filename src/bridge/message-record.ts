import type { MessageRecord } from '../telemetry.ts';

/** Of messages of which nothing is known yet but what is done with them, and what let them pass; `ok` until it is otherwise. */
export function messageRecord(
  operation: MessageRecord['operation'],
  destination: string,
  messages: number,
): MessageRecord {
  return {
    operation,
    destination,
    stream: '',
    sequence: 0,
    messages,
    result: 'ok',
    consumer: '',
    attempt: 0,
    producer: '',
  };
}
