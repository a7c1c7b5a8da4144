import type { MessageProblem } from '../../problem.ts';
import { problemDocument } from '../../problem.ts';

/**
 * Server-sent events (WHATWG HTML, section 9.2). Each has its name, and one line of JSON as its data: nothing in it can end a line,
 * so that no message can forge an event.
 */

/** @param json without line breaks, as `JSON.stringify` makes it. @param id undefined: clients keep the last one. */
export function eventText(name: string, id: string | undefined, json: string): string {
  return id === undefined ? `event: ${name}\ndata: ${json}\n\n` : `id: ${id}\nevent: ${name}\ndata: ${json}\n\n`;
}

/** The last event of a stream that cannot go on: as the problem document would be. */
export function errorEvent(problem: MessageProblem): Buffer {
  return Buffer.from(eventText('error', undefined, problemDocument(problem).toString().trimEnd()));
}

/** A comment, which clients pass over: for proxies that cut connections on which nothing happens. */
export const HEARTBEAT: Buffer = Buffer.from(':\n\n');

/** After how long clients are to come again. */
export function retryText(ms: number): Buffer {
  return Buffer.from(`retry: ${Math.round(ms)}\n\n`);
}
