/**
 * An object with a value for each of the keys, which are all that it has. `make` is believed to make for each key what belongs
 * there: the compiler cannot follow it.
 */
export function recordOf<T extends object>(
  keys: readonly (keyof T)[],
  // Of one key in each call, so that what it looks up in several records belongs together.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  make: <K extends keyof T>(key: K) => unknown,
): T {
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as unknown as T;
}
