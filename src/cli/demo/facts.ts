import type { Picture } from './picture.ts';

/** What was told last, by what it is about. */
export type Facts = ReadonlyMap<string, Fact>;

interface Fact {
  readonly line: string;
  /** What is said when it holds no more. */
  readonly over: string;
}

/** What is worth a line when it changes, the gravest first. Figures are not: they always do. */
export function factsOf({ services, outside, problems }: Picture): Facts {
  const facts = new Map<string, Fact>();
  for (const problem of problems)
    facts.set(`problem ${problem}`, { line: `Problem: ${problem}`, over: `Solved: ${problem}` });
  for (const { name, endpointsUsed: used } of services) {
    const line = `${name}: ${used === 1 ? '1 endpoint gets' : `${used} endpoints get`} its requests`;
    facts.set(`place ${name}`, { line, over: `${name}: not there any more` });
  }
  for (const name of outside)
    facts.set(`place ${name}`, { line: `${name}: not in the mesh`, over: `${name}: not there any more` });
  for (const { name, rates } of services) {
    if (rates === undefined || rates.rps === 0) continue;
    const fate = rates.failedPerSecond > 0 ? 'some of them fail' : 'all succeed';
    facts.set(`traffic ${name}`, { line: `${name}: requests come in, ${fate}`, over: `${name}: no more requests` });
  }
  return facts;
}

/** The first thing that is not as it was told, and what has been told with it; undefined where all is. */
export function nextLine(told: Facts, now: Facts): { readonly line: string; readonly told: Facts } | undefined {
  for (const [about, fact] of now) {
    if (told.get(about)?.line !== fact.line) return { line: fact.line, told: new Map(told).set(about, fact) };
  }
  for (const [about, { over }] of told) {
    if (now.has(about)) continue;
    const left = new Map(told);
    left.delete(about);
    return { line: over, told: left };
  }
  return undefined;
}
