import { matches } from '../../../lib/subject.ts';

/** What somebody wants to hear. */
export interface Interest {
  readonly pattern: string;
  /** Empty: none. One of a queue group hears a message. */
  readonly queue: string;
  /** Whose it is: a client that does not want its own messages back is left out. */
  readonly owner: object;
  deliver(message: Message): void;
}

export interface Message {
  readonly subject: string;
  /** Empty: nobody waits for one. */
  readonly reply: string;
  /** The complete block; undefined: none. */
  readonly headers: Buffer | undefined;
  readonly body: Buffer;
}

/** Who hears what. A try-out has few interests: each message looks at all of them. */
export class Router {
  readonly #interests = new Set<Interest>();

  add(interest: Interest): void {
    this.#interests.add(interest);
  }

  remove(interest: Interest): void {
    this.#interests.delete(interest);
  }

  /**
   * To everybody who wants to hear it, and to one of each queue group.
   * @param besides hears nothing of it. @returns whether anybody heard it.
   */
  route(message: Message, besides: object | undefined): boolean {
    const alone: Interest[] = [];
    const groups = new Map<string, Interest[]>();
    for (const interest of this.#interests) {
      if (interest.owner === besides || !matches(interest.pattern, message.subject)) continue;
      if (interest.queue === '') alone.push(interest);
      else {
        // One group is one pattern and one name.
        const key = `${interest.pattern} ${interest.queue}`;
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [interest]);
        else group.push(interest);
      }
    }
    const chosen = [...groups.values()].map((group) => group[Math.floor(Math.random() * group.length)]!);
    // Chosen first: who hears may end its interest meanwhile.
    for (const interest of [...alone, ...chosen]) interest.deliver(message);
    return alone.length + chosen.length > 0;
  }
}
