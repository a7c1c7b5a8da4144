import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { formatDuration } from '../../../lib/duration.ts';
import { shown } from '../../../lib/shown.ts';
import { formatSize } from '../../../lib/size.ts';
import { Slices } from '../../../lib/slices.ts';
import { Collected, FILE_BYTES_MAX, FORMAT, type Header, LINE_BYTES_MAX, VERSION } from './format.ts';
import type { State } from './write.ts';

const CHUNK_BYTES = 256 * 1024;
const LINE_END = 0x0a;
/** Clocks are set back, by a little. */
const FUTURE_MS_MAX = 5 * 60_000;

export interface Wanted {
  readonly source: string;
  readonly maxAgeMs: number;
  readonly nowMs: number;
}

/** What a first line says of the rest. */
interface Promised {
  readonly syncedMs: number;
  readonly counts: Readonly<Record<string, unknown>>;
}

/** Why a file is not used; the message is for a person. */
export class Refused extends Error {
  override readonly name: string = 'Refused';

  constructor(expected: string, got: string) {
    super(`Expected ${expected}, got ${got}`);
  }
}

/** Rejects with a `Refused`, or with an error of the system. */
export async function readSnapshot(file: string, wanted: Wanted): Promise<State> {
  // Not waiting for a writer, should it be a pipe.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Refused('an ordinary file', 'something else');
    if (stat.size > FILE_BYTES_MAX) throw new Refused(`at most ${formatSize(FILE_BYTES_MAX)}`, formatSize(stat.size));
    return await readState(handle, wanted);
  } finally {
    await handle.close();
  }
}

/** Each line is only understood when a next one has come: the last one holds the checksum of all others. */
async function readState(handle: FileHandle, wanted: Wanted): Promise<State> {
  const slices = new Slices();
  const hash = createHash('sha256');
  const collected = new Collected();
  let header: Promised | undefined;
  let line: Buffer | undefined;
  for await (const next of linesOf(handle)) {
    if (line !== undefined) {
      hash.update(line);
      if (header === undefined) header = headerOf(line, wanted);
      else if (!collected.add(jsonOf(line))) throw new Refused('lines with an object each', shown(line.toString()));
    }
    line = next;
    if (slices.over) await slices.next();
  }
  const { sha256 } = (line === undefined ? {} : (jsonOf(line) ?? {})) as { readonly sha256?: unknown };
  if (header === undefined || sha256 === undefined) throw cutOff();
  if (sha256 !== hash.digest('hex')) throw new Refused('the checksum that its last line has', 'another one');
  if (!collected.isWhole(header.counts)) throw new Refused('as many objects as its first line says', 'others');
  return { resources: collected.resources, syncedMs: header.syncedMs };
}

/** Lines with their end. */
async function* linesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES));
    if (bytesRead === 0) break;
    let from = 0;
    while (from < bytesRead) {
      const end = buffer.subarray(0, bytesRead).indexOf(LINE_END, from) + 1;
      const part = buffer.subarray(from, end === 0 ? bytesRead : end);
      from += part.length;
      length += part.length;
      parts.push(part);
      if (length > LINE_BYTES_MAX) throw new Refused(`lines of at most ${formatSize(LINE_BYTES_MAX)}`, 'a longer one');
      if (end === 0) break;
      yield parts.length === 1 ? part : Buffer.concat(parts);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) throw cutOff();
}

function headerOf(line: Buffer, { source, maxAgeMs, nowMs }: Wanted): Promised {
  const header = (jsonOf(line) ?? {}) as { readonly [K in keyof Header]?: unknown };
  const { syncedMs, counts } = header;
  if (header.format !== FORMAT) throw new Refused('a snapshot file', 'another one');
  if (header.version !== VERSION) throw new Refused(`format version ${VERSION}`, shown(header.version));
  if (header.source !== source) throw new Refused(`the state of ${source}`, `that of ${shown(header.source)}`);
  if (typeof syncedMs !== 'number' || typeof counts !== 'object' || counts === null)
    throw new Refused('a time and counts in its first line', 'something else');
  const ageMs = nowMs - syncedMs;
  if (ageMs < -FUTURE_MS_MAX) throw new Refused('a state of the past', `one of ${formatDuration(-ageMs)} from now`);
  if (ageMs > maxAgeMs) {
    const expected = `a state that was confirmed within ${formatDuration(maxAgeMs)}`;
    throw new Refused(expected, `one of ${formatDuration(ageMs)} ago`);
  }
  return { syncedMs, counts: counts as Promised['counts'] };
}

function jsonOf(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    throw new Refused('lines of JSON', shown(line.toString()));
  }
}

function cutOff(): Refused {
  return new Refused('a whole file', 'one that is cut off');
}
