import { bufferOf } from '../lib/buffer-of.ts';

/** The JSON object that others sent; undefined: it is none. Of its members nothing is believed. */
export function jsonObject(data: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bufferOf(data).toString());
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
