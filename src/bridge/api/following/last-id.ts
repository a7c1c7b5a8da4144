import { shown } from '../../../lib/shown.ts';
import { MessageProblem } from '../../problem.ts';
import type { Call } from '../call.ts';
import { type EventId, readId } from './source.ts';

/** The parameter `last-event-id`. */
export const LAST_EVENT_ID = {
  type: 'string',
  maxLength: 40,
  description: 'As the header, for clients that cannot set it',
} as const;

/** Where the client ended, by the header that browsers send or by the query; undefined: he begins. */
export function lastId(
  call: Pick<Call, 'header' | 'query'>,
): { readonly at: 'id'; readonly id: EventId } | MessageProblem | undefined {
  const text = call.header('last-event-id') ?? (call.query['last-event-id'] as string | undefined);
  if (text === undefined || text === '') return undefined;
  const id = readId(text);
  if (id !== undefined) return { at: 'id', id };
  return new MessageProblem('invalid-parameter', `Expected the id of an event of this API, got ${shown(text)}`);
}
