interface Stoppable {
  stop(): Promise<unknown>;
}

/** Takes what is being started into the scene. */
type Start = <One extends Stoppable>(starting: Promise<One>) => Promise<One>;

/**
 * A scene of a test: what it started is stopped when `play` is over, the last one first, and all of it, whatever fails. Something
 * left open would keep the file of the test from ending. Throws what failed first.
 */
export async function staged(play: (start: Start) => Promise<void>): Promise<void> {
  const started: Stoppable[] = [];
  const failures: unknown[] = [];
  const note = (error: unknown): void => void failures.push(error);
  await play(async (starting) => {
    const one = await starting;
    started.push(one);
    return one;
  }).catch(note);
  for (const one of started.toReversed()) await one.stop().catch(note);
  if (failures.length > 0) throw failures[0];
}
