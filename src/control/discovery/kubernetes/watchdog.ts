export interface Patience {
  /** From one sign of life to the next. */
  readonly silentMs: number;
  /** For all of it; monotonic clock. */
  readonly untilMs?: number;
  /** What it ends with; default: an error that says for how long nothing was heard. */
  readonly error?: Error;
}

/** Ends a request that shows no sign of life for too long: a connection may die without a word. */
export class Watchdog {
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal;
  #patience: Patience;
  #heardMs = performance.now();
  #timer: NodeJS.Timeout | undefined = undefined;

  /** @param outer ends the request as well. */
  constructor(outer: AbortSignal, patience: Patience) {
    this.#outer = outer;
    this.#patience = patience;
    outer.addEventListener('abort', this.#follow, { once: true });
    if (outer.aborted) this.#follow();
    else this.#look();
  }

  /** Ends the request, with its reason. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  heard(): void {
    this.#heardMs = performance.now();
  }

  /** From now on. */
  expect(patience: Patience): void {
    this.#patience = patience;
    this.#heardMs = performance.now();
    clearTimeout(this.#timer);
    this.#look();
  }

  /** The request is over. */
  close(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#follow);
  }

  readonly #follow = (): void => {
    clearTimeout(this.#timer);
    this.#abort.abort(this.#outer.reason);
  };

  #look(): void {
    const { silentMs, untilMs = Number.POSITIVE_INFINITY, error } = this.#patience;
    const leftMs = Math.min(this.#heardMs + silentMs, untilMs) - performance.now();
    if (leftMs > 0)
      this.#timer = setTimeout(() => {
        this.#look();
      }, leftMs + 1);
    else
      this.#abort.abort(error ?? new Error(`Nothing was heard of the API server for ${Math.ceil(silentMs / 1000)} s`));
  }
}

/** Runs a request that must show signs of life. */
export async function guarded<R>(
  outer: AbortSignal,
  patience: Patience,
  work: (dog: Watchdog) => Promise<R>,
): Promise<R> {
  const dog = new Watchdog(outer, patience);
  try {
    return await work(dog);
  } catch (error) {
    throw dog.signal.aborted ? dog.signal.reason : error;
  } finally {
    dog.close();
  }
}
