/** Longer than a worker stands still before it is replaced; an answer takes it a millisecond. */
const ANSWER_MS = 2000;
const ASKED_MAX = 8;

/** Questions to workers that wait for their answers. */
export class Questions<T> {
  readonly #waiting = new Map<number, (answer: T) => void>();
  #last = 0;

  /**
   * Rejects, with a reason for the user, where nobody is there to ask, nobody answers in time, or too many wait.
   * @param send asks somebody; false: there is nobody.
   */
  ask(send: (id: number) => boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      if (this.#waiting.size >= ASKED_MAX) {
        reject(new Error(`Expected at most ${ASKED_MAX} questions at a time, got one more`));
        return;
      }
      if (!send(id)) {
        reject(new Error('Expected a worker with a plan, got none'));
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`Expected a worker to answer within ${ANSWER_MS} ms, got nothing`));
      }, ANSWER_MS);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      });
    });
  }

  /** One that comes too late is nobody's. */
  answer(id: number, answer: T): void {
    this.#waiting.get(id)?.(answer);
  }
}
