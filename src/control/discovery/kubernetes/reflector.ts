import { Backoff } from '../../../lib/backoff.ts';
import { shown } from '../../../lib/shown.ts';
import type { KindView } from '../../../model/admin.ts';
import { type ApiClient, Refusal } from './api.ts';
import { MalformedJson } from './json-cutter.ts';
import type { Kind } from './kinds.ts';
import { ListCredit } from './list-credit.ts';
import { readList, type ReadPage, readPages, readWatch } from './reading.ts';
import { isOlder, newest } from './resource-version.ts';
import { ServedPath } from './served-path.ts';
import type { ApiObject, Reading, Store } from './store.ts';
import { jitter, type Timings } from './timings.ts';
import { guarded, type Patience, type Watchdog } from './watchdog.ts';

export interface ReflectorOptions<T extends { readonly name: string }> {
  readonly kind: Kind<T>;
  readonly store: Store<T>;
  readonly api: ApiClient;
  readonly timings: Timings;
  /** From 0 to below 1. */
  readonly dice: () => number;
  /** Something is to be handed over or told: objects, problems, how far it is. Called in the turn of the event loop in which it came. */
  readonly onChange: () => void;
  /** Of this kind; a million. */
  readonly objectsMax?: number;
}

/** What the server said last of the kind itself. */
type Standing = 'unread' | 'read' | 'absent' | 'forbidden';

/** What is wrong with following a kind; `expected` and `got` as in a problem. */
export interface Trouble {
  readonly type: 'absent' | 'forbidden' | 'failing';
  readonly text: string;
}

/** Far more than a cluster has; a list without end would take all memory. */
const OBJECTS_MAX = 1_000_000;
/** After so many failures from one version, the kind is read as a whole. */
const FAILURES_MAX = 4;
/** The end of what was there when a watch began (KEP-3157). */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';
/** The initial events may take so many times as long as the head of an answer. */
const INITIAL_EVENTS_ANSWERS = 4;
const REREAD = new Error('To be read anew');

/**
 * Keeps a store in step with one kind of objects of the API server, whatever happens on the way: reads it as a whole, then
 * follows its changes from the version that it has, and begins anew where that fails. What was read stays until something
 * newer is known. It never throws and never gives up.
 */
export class Reflector<T extends { readonly name: string }> {
  readonly #options: ReflectorOptions<T>;
  readonly #stop = new AbortController();
  /** Ends what is under way, to begin anew. */
  #round = new AbortController();
  /** Where to go on; undefined: the kind is to be read as a whole. */
  #version: string | undefined = undefined;
  /** How it is read as a whole. A server without watch-lists says so once (KEP-3157). */
  #whole: 'watch-list' | 'pages' = 'watch-list';
  #standing: Standing = 'unread';
  /** What was seen once and would take all objects away; it is believed when it is seen again. */
  #doubt: { readonly type: 'empty'; readonly version: string } | { readonly type: 'absent' } | undefined = undefined;
  readonly #backoff: Backoff;
  readonly #refusedBackoff: Backoff;
  /** Failures since the last sign that the version at hand is good. */
  #failures = 0;
  /** A watch is open that has told nothing yet: that it was agreed to does not show that it works. */
  #isUnproven = false;
  readonly #credit: ListCredit;
  readonly #served: ServedPath;
  /** Since when it cannot be followed; undefined: it is. */
  #lostMs: number | undefined = performance.now();
  #heardMs: number | undefined = undefined;
  #error: string | undefined = undefined;
  #isRead = false;
  #isTried = false;
  readonly #counts = { lists: 0, watches: 0, events: 0, errors: 0 };

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    const { retryFirstMs, retryMaxMs, absentMs } = options.timings;
    this.#backoff = new Backoff(retryFirstMs, retryMaxMs);
    this.#refusedBackoff = new Backoff(retryFirstMs, absentMs);
    this.#credit = new ListCredit(options.timings);
    this.#served = new ServedPath(options.kind);
    void this.#run();
  }

  get kind(): Kind<T> {
    return this.#options.kind;
  }

  /** The store holds what the server said, at some time since the start. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** The server has answered, or it could not be asked, at least once. */
  get isTried(): boolean {
    return this.#isTried;
  }

  /** It was read, or there is nothing to read, or why it cannot be read is no matter of a moment. */
  get isSettled(): boolean {
    return this.#isRead || this.#standing === 'absent' || this.trouble !== undefined;
  }

  /** It is read and followed, or there is nothing that could be. */
  get isFresh(): boolean {
    const { state } = this.view;
    return state === 'live' || state === 'absent';
  }

  get view(): KindView {
    const { kind, store } = this.#options;
    const silentMs = this.#heardMs === undefined ? null : Math.round(performance.now() - this.#heardMs);
    const state = this.#state;
    const error = state === 'live' ? null : (this.#error ?? null);
    return { kind: kind.kind, state, objects: store.size, silentMs, ...this.#counts, error };
  }

  /** What is in the way, once it lasts. */
  get trouble(): Trouble | undefined {
    const { kind, timings } = this.#options;
    if (this.#error === undefined) return undefined;
    if (this.#standing === 'forbidden') return { type: 'forbidden', text: this.#error };
    if (this.#standing === 'absent')
      return kind.need === 'optional' ? undefined : { type: 'absent', text: this.#error };
    const lasts = this.#lostMs !== undefined && performance.now() - this.#lostMs > timings.staleMs;
    return lasts ? { type: 'failing', text: this.#error } : undefined;
  }

  /** Reads the kind as a whole, soon, and looks at each object, whatever its version says. */
  reread(): void {
    this.#options.store.distrust();
    this.#version = undefined;
    this.#round.abort(REREAD);
  }

  stop(): void {
    this.#stop.abort();
    this.#round.abort(new Error('Stopped'));
  }

  get #state(): KindView['state'] {
    if (this.#standing === 'absent' || this.#standing === 'forbidden') return this.#standing;
    if (!this.#isRead) return 'starting';
    const { staleMs } = this.#options.timings;
    return this.#lostMs === undefined || performance.now() - this.#lostMs <= staleMs ? 'live' : 'stale';
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#round = new AbortController();
      let waitMs: number;
      try {
        waitMs = await this.#follow();
      } catch (error) {
        waitMs = this.#stop.signal.aborted ? 0 : this.#failed(error as Error);
      }
      await this.#pause(waitMs);
    }
  }

  /** One try. Resolves with how long to wait before the next one. */
  async #follow(): Promise<number> {
    const { api, kind, timings, dice } = this.#options;
    const { signal } = this.#round;
    this.#isUnproven = false;
    if (kind.how === 'poll') {
      await this.#poll();
      return jitter(timings.pollMs, dice);
    }
    if (this.#version !== undefined) return this.#watch(undefined);
    if (this.#standing === 'absent') await this.#served.checkGroup(api, { signal, timeoutMs: timings.answerMs });
    const waitMs = this.#credit.take();
    if (waitMs > 0) return waitMs;
    return this.#whole === 'pages' ? this.#list() : this.#watchList();
  }

  /** Reads all by a watch that begins with what is there, and goes on with it. */
  async #watchList(): Promise<number> {
    const reading: Reading<T> = new Map();
    try {
      return await this.#watch(reading);
    } catch (error) {
      const refused = error instanceof Refusal && (error.status === 400 || error.status === 422);
      if (!refused && !(error instanceof WithoutEnd)) throw error;
      this.#whole = 'pages';
      this.#credit.giveBack();
      return 0;
    }
  }

  async #list(): Promise<number> {
    const { api, store, timings } = this.#options;
    const reading: Reading<T> = new Map();
    let count = 0;
    const readPage: ReadPage = async (query) => {
      // Pages without items may have no end either.
      this.#checkCount(++count);
      return guarded(this.#round.signal, { silentMs: timings.answerMs }, async (dog) => {
        const heard = (): void => {
          this.#heard(dog);
        };
        const items = readList(api, this.#path(query), { signal: dog.signal, heard });
        try {
          for (;;) {
            const item = await items.next();
            dog.signal.throwIfAborted();
            if (item.done === true) return item.value;
            this.#checkCount(++count);
            store.read(item.value, reading);
          }
        } finally {
          await items.return({ version: '', next: '' });
        }
      });
    };
    const version = await readPages(readPage, () => {
      reading.clear();
      count = 0;
    });
    return this.#commit(reading, version);
  }

  /** @param reading a collection to be read first, or undefined to go on from the version that there is. */
  async #watch(reading: Reading<T> | undefined): Promise<number> {
    const { api, timings, dice } = this.#options;
    const shared = (await api.protocol()) === 'h2';
    // It may have been told to read anew meanwhile, and has no version any more.
    this.#round.signal.throwIfAborted();
    const lastsMs = jitter(shared ? timings.watchSharedMs : timings.watchAloneMs, dice);
    const query = {
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(Math.max(1, Math.ceil(lastsMs / 1000))),
      ...(reading === undefined
        ? { resourceVersion: this.#version! }
        : { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }),
    };
    const startMs = performance.now();
    const follow: Patience = { silentMs: timings.silentMs, untilMs: startMs + lastsMs + timings.watchLateMs };
    const { answerMs } = timings;
    let initial = reading;
    let from = this.#version;
    let proof: NodeJS.Timeout | undefined;
    const waitMs = await guarded(this.#round.signal, { silentMs: answerMs }, async (dog) => {
      const onOpen = (): void => {
        this.#counts.watches++;
        this.#isUnproven = initial === undefined;
        if (this.#isUnproven)
          proof = setTimeout(() => {
            this.#found();
          }, timings.watchShortMs);
        const untilMs = startMs + INITIAL_EVENTS_ANSWERS * answerMs;
        dog.expect(initial === undefined ? follow : { silentMs: answerMs, untilMs, error: new WithoutEnd() });
      };
      const heard = (): void => {
        this.#heard(dog);
      };
      for await (const { type, object } of readWatch(api, this.#path(query), { signal: dog.signal, heard, onOpen })) {
        // What still comes with a piece of the answer is of the time before.
        dog.signal.throwIfAborted();
        if (initial === undefined) this.#take(type, object, from!);
        else if (type !== 'BOOKMARK') this.#takeInitial(type, object, initial);
        else if (object.metadata.annotations?.[INITIAL_EVENTS_END] === 'true') {
          const confirmMs = this.#commit(initial, object.metadata.resourceVersion);
          if (confirmMs > 0) return confirmMs;
          initial = undefined;
          from = this.#version;
          dog.expect(follow);
        }
      }
      return 0;
    }).finally(() => {
      clearTimeout(proof);
    });
    if (initial !== undefined && waitMs === 0) throw new WithoutEnd();
    if (this.#isUnproven) throw new Error('A watch ended as soon as it had begun');
    this.#lost();
    if (waitMs > 0 || performance.now() - startMs >= timings.watchShortMs) return waitMs;
    return jitter(this.#backoff.next(performance.now()), dice);
  }

  async #poll(): Promise<void> {
    const { api, store, timings } = this.#options;
    const { signal } = this.#round;
    const answer = await api.request(this.#served.path, { signal, timeoutMs: timings.answerMs });
    if (answer.status !== 200) throw new Refusal(answer);
    this.#heardMs = performance.now();
    const reading: Reading<T> = new Map();
    store.read(answer.body as ApiObject, reading);
    this.#commit(reading, (answer.body as ApiObject).metadata.resourceVersion);
    // Only looks tell that it is there.
    this.#version = undefined;
  }

  /** @param from the version that this watch began from: what is older than that is of another history. */
  #take(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: ApiObject, from: string): void {
    const { store, onChange } = this.#options;
    if (isOlder(object.metadata.resourceVersion, from))
      throw new MalformedJson(`Expected a version after ${from}, got ${shown(object.metadata.resourceVersion)}`);
    let changed = false;
    this.#checkCount(store.size);
    if (type === 'ADDED' || type === 'MODIFIED') changed = store.put(object);
    else if (type === 'DELETED') changed = store.remove(object);
    if (type !== 'BOOKMARK') this.#counts.events++;
    this.#version = newest(this.#version!, object.metadata.resourceVersion);
    this.#failures = 0;
    this.#found();
    if (changed) onChange();
  }

  #takeInitial(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ApiObject, initial: Reading<T>): void {
    this.#counts.events++;
    this.#checkCount(initial.size);
    if (type === 'DELETED') this.#options.store.unread(object, initial);
    else this.#options.store.read(object, initial);
  }

  #checkCount(count: number): void {
    const { kind, objectsMax = OBJECTS_MAX } = this.#options;
    if (count > objectsMax) throw new MalformedJson(`Expected at most ${objectsMax} objects of ${kind.kind}, got more`);
  }

  #heard(dog: Watchdog): void {
    dog.heard();
    this.#heardMs = performance.now();
  }

  /** A whole collection was read. Returns 0, or how long to wait before it is believed. */
  #commit(reading: Reading<T>, version: string): number {
    const { store, timings, onChange } = this.#options;
    this.#counts.lists++;
    if (reading.size === 0 && store.size > 0) {
      const before = this.#doubt?.type === 'empty' ? this.#doubt.version : undefined;
      if (before === undefined || isOlder(version, before)) {
        this.#doubt = { type: 'empty', version };
        this.#lost('An empty list after one that was not: it is believed when the next one is empty too');
        return timings.confirmMs;
      }
    }
    store.replace(reading);
    this.#isRead = true;
    this.#version = version;
    this.#doubt = undefined;
    this.#found();
    onChange();
    return 0;
  }

  /** The server has told, and may tell more. */
  #found(): void {
    const first = this.#standing !== 'read';
    this.#standing = 'read';
    this.#isTried = true;
    this.#isUnproven = false;
    this.#served.known();
    this.#lostMs = undefined;
    this.#error = undefined;
    if (first) this.#options.onChange();
  }

  #lost(error?: string): void {
    this.#lostMs ??= performance.now();
    this.#isTried = true;
    if (error !== undefined) this.#error = error;
  }

  /** Returns how long to wait before the next try. */
  #failed(error: Error): number {
    const { timings, dice, onChange } = this.#options;
    if (error === REREAD) return dice() * timings.relistMs;
    if (error instanceof Refusal && error.status === 404 && this.#served.next()) return this.#otherVersion();
    const nowMs = performance.now();
    this.#counts.errors++;
    this.#lost(reasonOf(error));
    this.#standing = this.#standingAfter(error);
    onChange();
    if (!(error instanceof Refusal)) {
      if (error instanceof MalformedJson || this.#isUnproven) this.#countFailure();
      return jitter(this.#backoff.next(nowMs), dice);
    }
    switch (error.status) {
      case 410:
        this.#version = undefined;
        // Lists are few by themselves, and waits that an outage before has made long mean nothing here.
        return dice() * timings.relistMs;
      case 401:
        break;
      case 403:
        return jitter(this.#refusedBackoff.next(nowMs), dice);
      case 404:
        return this.#absent();
      default:
        this.#countFailure();
    }
    return Math.max(error.retryAfterMs ?? 0, jitter(this.#backoff.next(nowMs), dice));
  }

  /** The server may serve the kind under another version. Returns how long to wait before that is tried. */
  #otherVersion(): number {
    if (this.#version === undefined) this.#credit.giveBack();
    this.#version = undefined;
    // Under another version an object may have another shape, but it has the same resourceVersion.
    this.#options.store.distrust();
    return 0;
  }

  /** What a failure says of the kind: only an answer does. What an optional one is without stays so until it is there. */
  #standingAfter(error: Error): Standing {
    const { kind } = this.#options;
    const status = error instanceof Refusal ? error.status : undefined;
    if (status === 403) return 'forbidden';
    if (kind.need === 'optional' && this.#standing === 'absent') return 'absent';
    if (status === 404 && kind.need !== 'optional' && !this.#isRead) return 'absent';
    return this.#isRead ? 'read' : 'unread';
  }

  /** It may be the version itself that the server cannot serve, such as one from before it was restored from a backup. */
  #countFailure(): void {
    if (++this.#failures < FAILURES_MAX) return;
    this.#failures = 0;
    this.#version = undefined;
    this.#options.store.distrust();
  }

  /** The server does not know the kind, or the one object. Returns how long to wait before the next try. */
  #absent(): number {
    const { kind, store, timings, dice, onChange } = this.#options;
    this.#version = undefined;
    if (kind.need !== 'optional') {
      // A server that starts may not know all of its kinds yet.
      const backoff = kind.need === 'required' ? this.#backoff : this.#refusedBackoff;
      return jitter(backoff.next(performance.now()), dice);
    }
    if (store.size > 0 && this.#doubt?.type !== 'absent') {
      this.#doubt = { type: 'absent' };
      return timings.confirmMs;
    }
    this.#doubt = undefined;
    this.#standing = 'absent';
    if (store.replace(new Map())) onChange();
    return jitter(timings.absentMs, dice);
  }

  #path(query: Readonly<Record<string, string>>): string {
    const { fieldSelector } = this.#options.kind;
    const all = { ...query, ...(fieldSelector !== undefined && { fieldSelector }) };
    return `${this.#served.path}?${new URLSearchParams(all).toString()}`;
  }

  #pause(waitMs: number): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    // What was told to the try that is over is done; what comes now ends the pause.
    this.#round = new AbortController();
    const { signal } = this.#round;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** A watch that never told that its initial events are over: the server may have taken it for an ordinary one. */
class WithoutEnd extends Error {}

/** An error of several addresses has no text of its own. */
function reasonOf(error: Error): string {
  return error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
}
