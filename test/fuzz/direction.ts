/** One message, sent in one way. */
export interface Trial {
  readonly text: string;
  /** Bytes in the first piece. */
  readonly cut: number;
  readonly manner: 'whole' | 'split' | 'truncated';
}

export interface Outcome {
  /** Why the mesh was wrong; empty when it was right. */
  readonly reasons: readonly string[];
  /** What both sides saw: it must not depend on where the text was cut into packets. */
  readonly summary: string;
}

/** What is fuzzed: messages of clients, or of upstreams. */
export interface Direction {
  readonly name: string;
  /** Messages to begin with. */
  readonly valid: readonly string[];
  readonly invalid: readonly string[];
  readonly lanes: number;
  run(lane: number, trial: Trial): Promise<Outcome>;
  /** Insists that the mesh lives, saw no defect, and holds nothing. */
  stop(): Promise<void>;
}
