/** What is wrong in one place. */
export interface Mismatch {
  /** Path of the field, `metadata.annotations["heddle.dev/enabled"]`; empty when the whole object is meant. */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
}

/**
 * What discovery or compile could not obey, told so that its author can mend it: which object, which field, what was
 * expected, what was got. A problem harms only the thing it names; everything else stays in force.
 */
export interface Problem extends Mismatch {
  /** `Service shop/orders`, or the file itself when nothing in it could be read. */
  readonly object: string;
  readonly origin?: Origin;
}

/** A problem as commands and the admin side show it: plain JSON. */
export interface ProblemView {
  /** `Service shop/orders`, or a file. */
  readonly object: string;
  /** Empty where the whole object is meant. */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
  readonly file: string | null;
  readonly line: number | null;
  /** All of it in one line. */
  readonly text: string;
}

export function problemView(problem: Problem): ProblemView {
  const { object, field, expected, got, origin } = problem;
  const line = origin === undefined ? null : (origin.fieldLines?.[field] ?? origin.line);
  return { object, field, expected, got, file: origin?.file ?? null, line, text: problemText(problem) };
}

/** Where an object was read. */
export interface Origin {
  readonly file: string;
  /** 1-based line of the object's first field. */
  readonly line: number;
  /** Lines of single fields, by the path that problems use; only files know them. */
  readonly fieldLines?: Readonly<Record<string, number>>;
}

/** The problem of an object that was read at `origin`; its line is that of the field, where that is known. */
export function problemOf(object: string, { field, expected, got }: Mismatch, origin?: Origin): Problem {
  return { object, field, expected, got, ...placeOf(field, origin) };
}

/** Where a field was read, as far as that is known. */
export function placeOf(field: string, origin: Origin | undefined): { readonly origin?: Origin } {
  if (origin === undefined) return {};
  const { file, line, fieldLines } = origin;
  return { origin: { file, line: fieldLines?.[field] ?? line } };
}

/** One line: `shop.yaml:12: Service shop/orders: spec.ports[0].port: expected …, got …`. */
export function problemText({ object, field, expected, got, origin }: Problem): string {
  const line = origin === undefined ? undefined : (origin.fieldLines?.[field] ?? origin.line);
  const place = origin === undefined ? '' : `${origin.file}:${line}: `;
  // A file that could not be read is named once.
  const subject = object === origin?.file ? '' : `${object}: `;
  return `${place}${subject}${field === '' ? '' : `${field}: `}expected ${expected}, got ${got}`;
}
