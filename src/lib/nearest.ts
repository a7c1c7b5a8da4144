/** Of a word that is the beginning of another. */
const OPENING_MIN = 4;

/**
 * The known word that a mistyped one most likely means, or `undefined` if none is near: at most a third of its letters
 * may be wrong, missing, added or swapped with their neighbour. Else one of the two begins with the other, hyphens aside.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const words = [...known];
  let best: string | undefined;
  let bestDistance = Math.floor(word.length / 3) + 1;
  for (const candidate of words) {
    const distance = editDistance(word, candidate, bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? words.find((candidate) => opens(word, candidate) || opens(candidate, word));
}

function opens(word: string, other: string): boolean {
  const letters = word.replaceAll('-', '');
  return letters.length >= OPENING_MIN && other.replaceAll('-', '').startsWith(letters);
}

/** Optimal string alignment distance; words whose lengths differ by `limit` or more are not compared. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let distance = Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, beforePrevious[column - 2]! + 1);
      }
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}
