import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { readDocuments, type Documents } from './documents.ts';
import { unreadable, type FileReading } from './file-reading.ts';

const FILE_BYTES_MAX = 8 * 1024 * 1024;

/** Characters of documents that are kept for the next reading of their file. */
const KEPT_MAX = 32 * 1024 * 1024;

/** Reads files of manifests, and knows of each what it held before, so that reading it again costs little. */
export class ManifestFiles {
  readonly #before = new Map<string, Documents>();
  #kept = 0;

  /** What cannot be read is a problem, never an exception. */
  read(file: string): FileReading {
    try {
      // Opening a device can do something to it.
      if (!statSync(file).isFile()) return unreadable(file, 'an ordinary file', 'something else');
      return this.#readOrdinary(file);
    } catch (error) {
      const got = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      return unreadable(file, 'a file of UTF-8 text that can be read', got);
    }
  }

  #readOrdinary(file: string): FileReading {
    // It may have become a pipe since: opening one waits for its writer, unless told not to.
    // oxlint-disable-next-line no-bitwise
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const before = fstatSync(descriptor, { bigint: true });
      if (!before.isFile()) return unreadable(file, 'an ordinary file', 'something else');
      if (before.size > FILE_BYTES_MAX) return unreadable(file, `at most ${FILE_BYTES_MAX} bytes`, String(before.size));
      const bytes = readFileSync(descriptor);
      const after = fstatSync(descriptor, { bigint: true });
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      const { reading, documents } = readDocuments({ file, text }, this.#before.get(file));
      this.#keep(file, documents);
      return { ...reading, torn: before.size !== after.size || before.mtimeNs !== after.mtimeNs };
    } finally {
      closeSync(descriptor);
    }
  }

  #keep(file: string, documents: Documents): void {
    this.#kept += charactersOf(documents) - charactersOf(this.#before.get(file));
    this.#before.set(file, documents);
    if (this.#kept <= KEPT_MAX) return;
    this.#before.clear();
    this.#kept = 0;
  }
}

function charactersOf(documents: Documents | undefined): number {
  let characters = 0;
  for (const text of documents?.keys() ?? []) characters += text.length;
  return characters;
}
