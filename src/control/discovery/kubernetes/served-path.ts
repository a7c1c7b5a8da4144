import { type ApiClient, Refusal, type RequestOptions } from './api.ts';
import type { Kind } from './kinds.ts';

/** The path under which a kind is read: that of the newest version that the server serves. */
export class ServedPath {
  readonly #kind: Pick<Kind<never>, 'groupPath' | 'paths'>;
  #path: string;
  /** Those that the server did not know, since it last knew one. */
  readonly #unknown = new Set<string>();

  constructor(kind: Pick<Kind<never>, 'groupPath' | 'paths'>) {
    this.#kind = kind;
    this.#path = kind.paths[0];
  }

  get path(): string {
    return this.#path;
  }

  /** The server knows the path. */
  known(): void {
    this.#unknown.clear();
  }

  /** The server does not know the path. Returns whether there is another one to try; if not, the newest is the next. */
  next(): boolean {
    this.#unknown.add(this.#path);
    const next = this.#kind.paths.find((path) => !this.#unknown.has(path));
    this.#path = next ?? this.#kind.paths[0];
    if (next === undefined) this.#unknown.clear();
    return next !== undefined;
  }

  /**
   * Of a kind that is absent, one question in place of one for each of its versions: all nodes ask, again and again. Throws the
   * refusal where the server does not know its group.
   */
  async checkGroup(api: ApiClient, options: RequestOptions): Promise<void> {
    const { groupPath, paths } = this.#kind;
    if (paths.length === 1 || this.#unknown.size > 0) return;
    const answer = await api.request(groupPath, options);
    if (answer.status !== 404) return;
    for (const path of paths) this.#unknown.add(path);
    throw new Refusal(answer);
  }
}
