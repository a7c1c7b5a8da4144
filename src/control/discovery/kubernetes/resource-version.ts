const INTEGER = /^(?:0|[1-9][0-9]*)$/;

/**
 * Whether one state of an object, or of a collection, is older than another. Versions are opaque, but where both are decimal
 * integers they may be compared (KEP-5504); other ones are never older.
 */
export function isOlder(version: string, than: string): boolean {
  if (!INTEGER.test(version) || !INTEGER.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}

/** Where to go on after both were seen; of those that cannot be compared the one that came last. */
export function newest(before: string, last: string): string {
  return isOlder(last, before) ? before : last;
}
