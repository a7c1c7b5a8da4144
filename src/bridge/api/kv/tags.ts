/** The entity tag of a revision. */
export function tagOf(revision: number): string {
  return `"${revision}"`;
}

/** Does If-None-Match name this revision (RFC 9110 section 13.1.2)? */
export function isNamed(header: string | undefined, revision: number): boolean {
  if (header === undefined) return false;
  return header.split(',').some((listed) => {
    const tag = listed.trim().replace(/^W\//, '');
    return tag === '*' || tag === tagOf(revision);
  });
}
