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

/** One trial, and the summary that it must have if that is known. */
interface Job {
  readonly trial: Trial;
  readonly expected?: string;
}

/**
 * Runs (message, cut) pairs until the number is reached. About half of the messages are cut at every byte, and must give the
 * same outcome each time; the other half are fresh mutations with one cut, which go further afield.
 */
export async function campaign(
  direction: Direction,
  { pairs, seed, findingsMax = 5 }: CampaignOptions,
): Promise<CampaignResult> {
  const dice = new Dice(seed);
  const findings: Finding[] = [];
  const jobs: Job[] = [];
  let done = 0;
  const lanes = Array.from({ length: direction.lanes }, async (_, lane) => {
    while (done < pairs && findings.length < findingsMax) {
      let job = jobs.pop();
      if (job === undefined) {
        const text = draw(direction, dice);
        job = { trial: oneCut(text, dice) };
        if (dice.oneIn(80)) {
          const { summary } = await judged(direction, lane, { text, cut: 0, manner: 'whole' });
          for (const trial of everyCut(text))
            jobs.push(trial.manner === 'split' ? { trial, expected: summary } : { trial });
        }
      }
      done++;
      const finding = await check(direction, lane, job);
      if (finding !== undefined) findings.push(finding);
    }
  });
  await Promise.all(lanes);
  return { pairs: done, findings };
}

/** One line for each finding, with all that is needed to see it again. */
export function describeFindings({ findings }: CampaignResult, seed: number): string {
  // Many trials may have led to the same smallest text.
  const distinct = new Map(findings.map((finding) => [finding.trial.text, finding]));
  const lines = [...distinct.values()].map(({ direction, trial, reasons }) =>
    [
      `${direction}, seed ${seed}, ${trial.manner} at ${trial.cut}: ${reasons.join('; ')}`,
      `  ${JSON.stringify(trial.text)}`,
    ].join('\n'),
  );
  return lines.join('\n');
}

/** Mostly from correct messages: what is refused at its first byte tells little. */
function draw({ valid, invalid }: Direction, dice: Dice): string {
  const text = dice.pick(dice.oneIn(4) ? invalid : valid);
  return dice.oneIn(5) ? text : mutate(text, valid, dice);
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

/** Runs one job; a text that fails is made small. */
async function check(direction: Direction, lane: number, { trial, expected }: Job): Promise<Finding | undefined> {
  const outcome = await judged(direction, lane, trial);
  if (outcome.reasons.length > 0) return minimized(direction, lane, trial, outcome);
  if (expected === undefined || outcome.summary === expected) return undefined;
  // Once more: a busy machine may have answered too late for one of them.
  const whole = await judged(direction, lane, { ...trial, manner: 'whole' });
  const again = await judged(direction, lane, trial);
  if (whole.summary === again.summary) return undefined;
  return { direction: direction.name, trial, reasons: [`Whole: ${whole.summary}, in two pieces: ${again.summary}`] };
}

async function judged(direction: Direction, lane: number, trial: Trial): Promise<Outcome> {
  try {
    return await direction.run(lane, trial);
  } catch (error) {
    return { reasons: [String(error)], summary: '' };
  }
}

async function minimized(direction: Direction, lane: number, trial: Trial, outcome: Outcome): Promise<Finding> {
  const again = async (text: string): Promise<readonly string[]> =>
    (await judged(direction, lane, { ...trial, text, cut: Math.min(trial.cut, text.length) })).reasons;
  const repeats = (await again(trial.text)).length > 0;
  const text = repeats ? await shrink(trial.text, async (shorter) => (await again(shorter)).length > 0) : trial.text;
  const reasons = repeats ? await again(text) : [...outcome.reasons, '(not seen again with the same text)'];
  return { direction: direction.name, trial: { ...trial, text }, reasons };
}
