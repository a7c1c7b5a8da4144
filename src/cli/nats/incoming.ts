import { harmless } from '../../lib/shown.ts';
import { textOf } from './client.ts';

/** What a message carries, as the bridge writes it into JSON: text where it is text. */
export function dataOf(message: Readonly<Record<string, unknown>>): string {
  const { data, data_base64: base64 } = message;
  if (typeof data === 'string') return data;
  return typeof base64 === 'string' ? `base64:${base64}` : '';
}

/** `17 demo.orders.created {"item":"tea"}`; only what a stream keeps has a number. */
export function messageLine(message: Readonly<Record<string, unknown>>): string {
  const { subject, seq } = message;
  const parts = [typeof seq === 'number' ? String(seq) : '', textOf(subject), dataOf(message)];
  return parts.filter((part) => part !== '').join(' ');
}

/** What comes from others, for standard output: as it is, but on a terminal only what does nothing to it. */
export function received(data: Buffer, isTerminal: boolean): Buffer | string {
  if (!isTerminal) return data;
  const text = data.toString('utf8').split('\n').map(harmless).join('\n');
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
