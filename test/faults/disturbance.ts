import { eventually } from '../harness/client.ts';
import type { Mesh, ServiceSpec } from '../harness/mesh.ts';
import type { Answer } from '../harness/open-load.ts';
import type { Figure, Verdict } from './figures.ts';

export type Note = (what: string, measured: string, wanted: string, ok: Verdict) => void;

const KINDS = ['', 'policy change', 'worker restart'] as const;
/** What a client still sends to a worker that has just ended. */
const GRACE_MS = 250;
/** In another place of the same policies; none of them is what a scenario measures. */
const CHANGED = { 'heddle.dev/timeout-connect': '900ms', 'heddle.dev/timeout-idle': '59s' };

/** What happens in the middle of a scenario, which shall end as without it. */
export class Disturbance {
  readonly kind: (typeof KINDS)[number];
  #fromMs = Infinity;
  #toMs = -Infinity;

  constructor(kind: (typeof KINDS)[number]) {
    this.kind = kind;
  }

  /** @param services as they are; a policy change leaves their meaning. */
  async strike(mesh: Mesh, services: readonly ServiceSpec[]): Promise<void> {
    if (this.kind === 'policy change')
      mesh.rewrite({
        services: services.map((service) => ({ ...service, annotations: { ...service.annotations, ...CHANGED } })),
      });
    if (this.kind !== 'worker restart') return;
    this.#fromMs = performance.now();
    await mesh.sabotage(0, 'exit');
    await eventually(() => mesh.losses.length > 0, { what: 'the worker to be missed' });
    this.#toMs = performance.now() + GRACE_MS;
  }

  /** It was under way in the worker that ended. */
  excuses({ status, startMs, tookMs }: Answer): boolean {
    return status === 0 && startMs < this.#toMs && startMs + tookMs >= this.#fromMs;
  }

  /** Those that failed and whose worker lived. */
  failuresOf(answers: readonly Answer[]): readonly Answer[] {
    return answers.filter((answer) => answer.status !== 200 && !this.excuses(answer));
  }
}

/** Once in peace, then with a policy that changes and with a worker that ends in the middle. */
export async function withEachDisturbance(
  scenario: string,
  run: (disturbance: Disturbance, note: Note) => Promise<void>,
  kinds: readonly (typeof KINDS)[number][] = KINDS,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const kind of kinds) {
    const name = kind === '' ? scenario : `${scenario}, ${kind}`;
    await run(new Disturbance(kind), (what, measured, wanted, ok) => {
      figures.push({ scenario: name, what, measured, wanted, ok });
    });
  }
  return figures;
}
