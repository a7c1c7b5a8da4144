import { Dice } from './dice.ts';
import type { Direction, Outcome, Trial } from './direction.ts';
import { mutate, shrink } from './mutate.ts';

/** A defect of the mesh, as small as it could be made. */
export interface Finding {
  readonly direction: string;
  readonly trial: Trial;
  readonly reasons: readonly string[];
}

export interface CampaignResult {
  readonly pairs: number;
  readonly findings: readonly Finding[];
}

export interface CampaignOptions {
  /** (message, cut) pairs to run. */
  readonly pairs: number;
  readonly seed: number;
  /** Stop after so many. */
  readonly findingsMax?: number;
}

/** Texts longer than this are cut at a sample of their bytes. */
const CUTS_MAX = 200;

/**
 * Runs (message, cut) pairs until the number is reached. Half of the messages are cut at every byte, and must give the same
 * outcome each time; the other half are fresh mutations with one cut, which go further afield.
 */
export async function campaign(
  direction: Direction,
  { pairs, seed, findingsMax = 5 }: CampaignOptions,
): Promise<CampaignResult> {
  const dice = new Dice(seed);
  const findings: Finding[] = [];
  let done = 0;
  const workers = Array.from({ length: direction.lanes }, async (_, lane) => {
    while (done < pairs && findings.length < findingsMax) {
      const text = draw(direction, dice);
      const trials = dice.oneIn(40) ? everyCut(text) : [oneCut(text, dice)];
      done += trials.length;
      const finding = await runAll(direction, lane, trials);
      if (finding !== undefined) findings.push(finding);
    }
  });
  await Promise.all(workers);
  return { pairs: done, findings };
}

/** One line for each finding, with all that is needed to see it again. */
export function describeFindings({ findings }: CampaignResult, seed: number): string {
  const lines = findings.map(({ direction, trial, reasons }) =>
    [
      `${direction}, seed ${seed}, ${trial.manner} at ${trial.cut}: ${reasons.join('; ')}`,
      `  ${JSON.stringify(trial.text)}`,
    ].join('\n'),
  );
  return lines.join('\n');
}

function draw(direction: Direction, dice: Dice): string {
  const text = dice.pick(direction.seeds);
  return dice.oneIn(4) ? text : mutate(text, direction.seeds, dice);
}

function everyCut(text: string): Trial[] {
  const step = Math.max(1, Math.ceil(text.length / CUTS_MAX));
  const trials: Trial[] = [];
  for (let cut = 1; cut < text.length; cut += step)
    trials.push({ text, cut, manner: 'split' }, { text, cut, manner: 'truncated' });
  return trials;
}

function oneCut(text: string, dice: Dice): Trial {
  return { text, cut: 1 + dice.roll(Math.max(1, text.length - 1)), manner: dice.oneIn(3) ? 'truncated' : 'split' };
}

/** Runs the trials of one text; the first that fails is made small. */
async function runAll(direction: Direction, lane: number, trials: readonly Trial[]): Promise<Finding | undefined> {
  const whole =
    trials.length > 1 && trials[0] !== undefined
      ? await judged(direction, lane, { ...trials[0], manner: 'whole' })
      : undefined;
  if (whole !== undefined && whole.reasons.length > 0 && trials[0] !== undefined)
    return finding(direction, lane, { ...trials[0], manner: 'whole' });
  for (const trial of trials) {
    const outcome = await judged(direction, lane, trial);
    if (outcome.reasons.length > 0) return finding(direction, lane, trial, outcome);
    if (whole === undefined || trial.manner !== 'split' || outcome.summary === whole.summary) continue;
    // Once more: a busy machine may have answered too late for one of them.
    const [first, second] = [
      await judged(direction, lane, { ...trial, manner: 'whole' }),
      await judged(direction, lane, trial),
    ];
    if (first.summary !== second.summary) {
      return {
        direction: direction.name,
        trial,
        reasons: [`Whole: ${first.summary}, in two pieces: ${second.summary}`],
      };
    }
  }
  return undefined;
}

async function judged(direction: Direction, lane: number, trial: Trial): Promise<Outcome> {
  try {
    return await direction.run(lane, trial);
  } catch (error) {
    return { reasons: [String(error)], summary: '' };
  }
}

async function finding(direction: Direction, lane: number, trial: Trial, outcome?: Outcome): Promise<Finding> {
  const again = async (text: string): Promise<readonly string[]> =>
    (await judged(direction, lane, { ...trial, text, cut: Math.min(trial.cut, text.length) })).reasons;
  const repeats = (await again(trial.text)).length > 0;
  const text = repeats ? await shrink(trial.text, async (shorter) => (await again(shorter)).length > 0) : trial.text;
  const reasons = repeats ? await again(text) : [...(outcome?.reasons ?? []), '(not seen again with the same text)'];
  return { direction: direction.name, trial: { ...trial, text }, reasons };
}
