import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { formatSize } from '../../../lib/size.ts';
import { Slices } from '../../../lib/slices.ts';
import { recordOf } from '../../../lib/record-of.ts';
import type { Resources } from '../../../model/resource.ts';
import { RESOURCE_LISTS, listsOf } from '../resource-lists.ts';
import { type Counts, FILE_BYTES_MAX, FORMAT, type Header, type LastLine, type ObjectLine, VERSION } from './format.ts';

const CHUNK_CHARS = 64 * 1024;

export interface State {
  readonly resources: Resources;
  /** When it was last known to be fresh, in milliseconds since 1970. */
  readonly syncedMs: number;
}

/**
 * Writes beside the file and renames, in slices of time. Rejects when that cannot be done, or when `signal` is aborted; then
 * the file is as it was. Nothing is synced to the disk: what a crash of the machine leaves half-written has a wrong checksum.
 */
export async function writeSnapshot(file: string, source: string, state: State, signal: AbortSignal): Promise<void> {
  // Of one name always, so that no number of crashes leaves more than one behind. Two processes that write the same file may
  // mix theirs up, which the checksum tells.
  const aside = `${file}.new`;
  await rm(aside, { force: true });
  const handle = await open(aside, 'wx', 0o600);
  try {
    try {
      await writeLines(handle, source, state, signal);
    } finally {
      await handle.close();
    }
    signal.throwIfAborted();
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

async function writeLines(handle: FileHandle, source: string, state: State, signal: AbortSignal): Promise<void> {
  const slices = new Slices();
  const hash = createHash('sha256');
  let text = '';
  let bytes = 0;
  const flush = async (): Promise<void> => {
    signal.throwIfAborted();
    const chunk = Buffer.from(text);
    text = '';
    bytes += chunk.length;
    if (bytes > FILE_BYTES_MAX)
      throw new Error(`Expected a snapshot of at most ${formatSize(FILE_BYTES_MAX)}, got more`);
    hash.update(chunk);
    await handle.writeFile(chunk);
  };
  for (const line of linesOf(source, state)) {
    text += `${JSON.stringify(line)}\n`;
    if (text.length >= CHUNK_CHARS) await flush();
    if (slices.over) await slices.next();
  }
  await flush();
  await handle.writeFile(`${JSON.stringify({ sha256: hash.digest('hex') } satisfies LastLine)}\n`);
}

function* linesOf(source: string, { resources, syncedMs }: State): Generator<Header | ObjectLine> {
  const lists = listsOf(resources);
  const counts = recordOf<Counts>(RESOURCE_LISTS, (list) => lists[list].length);
  yield { format: FORMAT, version: VERSION, source, syncedMs, counts };
  for (const list of RESOURCE_LISTS) {
    for (const object of lists[list]) yield { list, object };
  }
}
