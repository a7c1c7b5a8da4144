import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { BridgeSecrets } from '../model/message.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import type { NatsSettings } from '../model/settings.ts';

/** A credentials file is a few kilobytes, a bundle of authorities some more. */
const FILE_BYTES_MAX = 64 * 1024;
const LOOK_MS = 1000;
const EXPECTED = `a file of 1 to ${FILE_BYTES_MAX} bytes that can be read`;

type Name = keyof BridgeSecrets;

const FLAGS: Readonly<Record<Name, string>> = {
  creds: '--nats-creds',
  nkey: '--nats-nkey',
  user: '--nats-user',
  tlsCa: '--nats-tls-ca',
  tlsCert: '--nats-tls-cert',
  tlsKey: '--nats-tls-key',
  tokenKey: '--bridge-token-key-file',
};
const NAMES = Object.keys(FLAGS) as readonly Name[];

const NONE: BridgeSecrets = {
  creds: undefined,
  nkey: undefined,
  user: undefined,
  tlsCa: undefined,
  tlsCert: undefined,
  tlsKey: undefined,
  tokenKey: undefined,
};

export interface BridgeSecretsEvents {
  /** What stands in the files is something else. */
  onSecrets(secrets: BridgeSecrets): void;
  /** Files that cannot be read now: what they held last stays in force. Told when it changed. */
  onProblems(problems: readonly Problem[]): void;
}

/** A file, and why it has no content; the reason never tells what stands in it. */
interface Unreadable {
  readonly name: Name;
  readonly path: string;
  readonly reason: string;
}

/**
 * The files of the bridge: read at the start and again whenever they are others. They are looked at instead of watched: the
 * mount of a Secret changes by a symbolic link somewhere above the file, which no watch of the file tells.
 */
export class BridgeSecretFiles {
  readonly #paths: ReadonlyMap<Name, string>;
  readonly #events: BridgeSecretsEvents;
  readonly #lookMs: number;
  #secrets: BridgeSecrets = NONE;
  /** What told the files apart when they were read. */
  #seen = '';
  #unreadable: readonly Unreadable[] = [];
  #timer: NodeJS.Timeout | undefined = undefined;
  #stopped = false;

  constructor(settings: NatsSettings, events: BridgeSecretsEvents, { lookMs = LOOK_MS } = {}) {
    this.#paths = new Map(
      NAMES.map((name) => [name, settings[name]] as const).filter(
        (entry): entry is readonly [Name, string] => entry[1] !== undefined,
      ),
    );
    this.#events = events;
    this.#lookMs = lookMs;
  }

  /** Tells what stands in the files, if only that there are none. Rejects when one of them cannot be read: the error is for the user. */
  async start(): Promise<void> {
    this.#seen = await this.#look();
    const { secrets, unreadable } = await this.#read();
    const [first] = unreadable;
    if (first !== undefined) {
      const { name, path, reason } = first;
      const error = new Error(`${FLAGS[name]} ${path}: Expected ${EXPECTED}, got ${reason}`);
      throw Object.assign(error, { syscall: 'open' });
    }
    this.#secrets = secrets;
    this.#events.onSecrets(secrets);
    if (this.#paths.size > 0) this.#lookLater();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.#follow().finally(() => {
        this.#lookLater();
      });
    }, this.#lookMs).unref();
  }

  async #follow(): Promise<void> {
    const seen = await this.#look();
    // One that could not be read is tried again: what was in the way may not show in the file.
    if (seen === this.#seen && this.#unreadable.length === 0) return;
    const { secrets, unreadable } = await this.#read();
    // Certificate and key change together. What changed while it was read is read again with the next look.
    if ((await this.#look()) !== seen || this.#stopped) return;
    this.#seen = seen;
    this.#tellProblems(unreadable);
    if (isDeepStrictEqual(secrets, this.#secrets)) return;
    this.#secrets = secrets;
    this.#events.onSecrets(secrets);
  }

  #tellProblems(unreadable: readonly Unreadable[]): void {
    if (isDeepStrictEqual(unreadable, this.#unreadable)) return;
    this.#unreadable = unreadable;
    this.#events.onProblems(
      unreadable.map(({ name, path, reason }) =>
        problemOf(`${FLAGS[name]} ${path}`, { field: '', expected: EXPECTED, got: `${reason}: what it held stays` }),
      ),
    );
  }

  /** Through symbolic links. */
  async #look(): Promise<string> {
    const looks = [...this.#paths.values()].map(async (path) => {
      const found = await stat(path).catch(() => undefined);
      return found === undefined ? '' : [found.dev, found.ino, found.size, found.mtimeMs, found.ctimeMs].join();
    });
    return (await Promise.all(looks)).join(' ');
  }

  /** What cannot be read is as it last was. */
  async #read(): Promise<{ readonly secrets: BridgeSecrets; readonly unreadable: readonly Unreadable[] }> {
    const texts: Record<Name, string | undefined> = { ...this.#secrets };
    const unreadable: Unreadable[] = [];
    for (const [name, path] of this.#paths) {
      try {
        texts[name] = await readText(path);
      } catch (error) {
        unreadable.push({ name, path, reason: reasonOf(error) });
      }
    }
    return { secrets: texts, unreadable };
  }
}

async function readText(path: string): Promise<string> {
  // Whoever opens a pipe otherwise waits for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error('something else than a file');
    const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = (await file.read(bytes, length)).bytesRead;
    if (length === 0) throw new Error('an empty one');
    if (length > FILE_BYTES_MAX) throw new Error('a longer one');
    return bytes.toString('utf8', 0, length);
  } finally {
    await file.close();
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
