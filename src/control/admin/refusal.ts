import { STATUS_CODES } from 'node:http';

/** A request that is not obeyed, with the reason for the one who sent it. */
export class Refusal extends Error {
  readonly status: number;
  /** Header fields and members of the problem document beyond the usual ones. */
  readonly headers: Readonly<Record<string, string>>;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    detail: string,
    {
      headers = {},
      members = {},
    }: { readonly headers?: Refusal['headers']; readonly members?: Refusal['members'] } = {},
  ) {
    super(detail);
    this.name = 'Refusal';
    this.status = status;
    this.headers = headers;
    this.members = members;
  }
}

/** Its media type. */
export const PROBLEM_TYPE = 'application/problem+json';

/** The problem document (RFC 9457) that says so. */
export function problemDocument({ status, message, members }: Refusal): string {
  return `${JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Refused', status, detail: message, ...members })}\n`;
}
