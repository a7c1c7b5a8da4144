import { matches } from '../../lib/subject.ts';
import type { Link } from '../link.ts';
import type { MessageProblem } from '../problem.ts';
import { askStreams } from './stream-api.ts';

const KNOWN_MS = 30_000;
const STREAMS_MAX = 256;
const NAME = /^[^\s.*>/\\]{1,255}$/;

interface KnownStream {
  readonly subjects: readonly string[];
  readonly untilMs: number;
}

/** Which streams bind which subjects, as far as somebody wanted to know lately. */
export class BoundStreams {
  readonly #link: Link;
  /** By name. */
  readonly #known = new Map<string, KnownStream>();

  private constructor(link: Link) {
    this.#link = link;
  }

  /** One for each link. */
  static of(link: Link): BoundStreams {
    let streams = all.get(link);
    if (streams === undefined) all.set(link, (streams = new BoundStreams(link)));
    return streams;
  }

  /** Gives the stream that binds a literal subject; undefined: none does. It may be that of half a minute ago. */
  find(subject: string, give: (problem: MessageProblem | undefined, stream: string | undefined) => void): void {
    const nowMs = performance.now();
    for (const [name, { subjects, untilMs }] of this.#known) {
      if (untilMs <= nowMs) this.#known.delete(name);
      else if (subjects.some((pattern) => matches(pattern, subject))) {
        give(undefined, name);
        return;
      }
    }
    askStreams(this.#link, 'STREAM.NAMES', { subject }, (problem, { streams }) => {
      const name: unknown = Array.isArray(streams) ? streams[0] : undefined;
      if (problem !== undefined || typeof name !== 'string' || !NAME.test(name)) give(problem, undefined);
      else this.#learn(name, give);
    });
  }

  #learn(name: string, give: (problem: MessageProblem | undefined, stream: string | undefined) => void): void {
    askStreams(this.#link, `STREAM.INFO.${name}`, {}, (problem, { config }) => {
      const { subjects } = (config ?? {}) as { readonly subjects?: unknown };
      if (problem === undefined && Array.isArray(subjects) && this.#known.size < STREAMS_MAX)
        this.#known.set(name, { subjects: subjects.map(String), untilMs: performance.now() + KNOWN_MS });
      give(problem, problem === undefined ? name : undefined);
    });
  }
}

const all = new WeakMap<Link, BoundStreams>();
