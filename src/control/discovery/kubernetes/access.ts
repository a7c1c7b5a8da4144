import type { ConnectionOptions } from 'node:tls';
import type { Mismatch, Problem } from '../../../model/problem.ts';

/** Who we are for the API server, and how we know that it is the right one. */
export interface Credentials {
  /** For the next connection; connections that are open stay as they are. */
  readonly tls: ConnectionOptions;
  /** Of each request. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The way to one API server. */
export interface Access {
  /** `https` always, but for servers on loopback. */
  readonly server: URL;
  /** Rejects with an AccessError. Cheap: what is read from files is kept for a while. */
  credentials(): Promise<Credentials>;
  /** The server refused these credentials, or they the server: the next ones are read anew, unless that has happened meanwhile. */
  refused(credentials: Credentials): void;
  /** Ends what is under way. */
  close(): void;
}

/** There is no way to the API server, for a reason that can be mended here; `object` is the file, or what else it is about. */
export class AccessError extends Error implements Problem {
  readonly object: string;
  readonly field: string;
  readonly expected: string;
  readonly got: string;

  constructor(object: string, { field, expected, got }: Mismatch) {
    super(`${object}: ${field === '' ? '' : `${field}: `}Expected ${expected}, got ${got}`);
    this.object = object;
    this.field = field;
    this.expected = expected;
    this.got = got;
  }
}
