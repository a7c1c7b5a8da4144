/** Those of a comma list, in its order. @param what they are, for whoever names one that is not there: `Peer`. */
export function choose<T extends { readonly name: string }>(all: readonly T[], list: string, what: string): T[] {
  return list.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    const names = all.map((one) => one.name).join(', ');
    throw new Error(`${what} must be one of ${names}, got ${JSON.stringify(name)}`);
  });
}
