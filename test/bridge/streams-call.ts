import type { Grants } from '../../src/bridge/access.ts';
import type { Call } from '../../src/bridge/api/call.ts';
import type { ApiParts, Route } from '../../src/bridge/api/route.ts';
import type { Field } from '../../src/bridge/headers.ts';
import type { Link } from '../../src/bridge/link.ts';
import { PolicyAccess } from '../../src/bridge/access.ts';
import type { MessageProblem } from '../../src/bridge/problem.ts';
import type { Source } from '../../src/proxy/http.ts';
import type { MessageRecord } from '../../src/telemetry.ts';
import { eventually } from '../harness/client.ts';

export const SOON_MS = 20_000;

export interface Event {
  readonly id: string | undefined;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly address?: string;
  readonly grants?: Grants;
}

/** What a node without policies lets everybody do. */
export function openGrants(): Grants {
  return new PolicyAccess({ open: true, workers: 1 }).grantsOf({ address: '10.1.0.7' } as Source);
}

/** A call as a handler sees it, whose client takes as much as the test says. */
export class FakeCall implements Call {
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly grants: Grants;
  readonly source: Source;
  readonly trace = undefined;
  record: MessageRecord | undefined = undefined;
  status = 0;
  fields = new Map<string, string>();
  refusal: MessageProblem | undefined = undefined;
  bytes: Buffer = Buffer.alloc(0);
  writes = 0;
  end: 'finished' | 'cut' | undefined = undefined;
  onWritable: (() => void) | undefined = undefined;
  onAbort: (() => void) | undefined = undefined;
  onDrain: (() => void) | undefined = undefined;
  onPolicies: (() => void) | undefined = undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #body: Buffer;
  #stalled = false;

  constructor({ path = {}, query = {}, headers = {}, body, address = '10.1.0.7', grants = openGrants() }: CallOptions) {
    this.path = path;
    this.query = query;
    this.grants = grants;
    this.source = { address } as Source;
    this.#headers = headers;
    this.#body = Buffer.from(body ?? '');
  }

  get head(): never {
    throw new Error('Expected no look at the head');
  }

  get text(): string {
    return this.bytes.toString();
  }

  get json(): Readonly<Record<string, unknown>> {
    return JSON.parse(this.text) as Readonly<Record<string, unknown>>;
  }

  /** Whole ones, without comments and retry hints. */
  get events(): readonly Event[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .flatMap((block) => {
        const lines = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
        const name = lines.get('event');
        if (name === undefined) return [];
        return [{ id: lines.get('id'), name, data: JSON.parse(lines.get('data') ?? '') as Event['data'] }];
      });
  }

  /** Of the events of this name, a member of their data. */
  every(name: string, member: string): readonly unknown[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => data[member]);
  }

  /** What it was answered with, or why not. */
  get outcome(): string {
    return this.refusal === undefined ? String(this.status) : this.refusal.code;
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  body(_maxBytes: number, use: (body: Buffer) => void): void {
    setImmediate(use, this.#body);
  }

  bodyPieces(): void {}
  resumeBody(): void {}
  expectReplyWithin(): void {}

  describe(record: MessageRecord): void {
    this.record = record;
  }

  reply(status: number, fields: readonly Field[], body: Uint8Array | undefined): void {
    if (this.status !== 0 || this.refusal !== undefined) return;
    this.stream(status, fields);
    if (body !== undefined) this.write(body);
    this.finish();
  }

  problem(problem: MessageProblem): void {
    if (this.status === 0) this.refusal ??= problem;
    else this.cut();
  }

  stream(status: number, fields: readonly Field[]): void {
    this.status = status;
    this.fields = new Map(fields);
  }

  write(bytes: Uint8Array): boolean {
    this.writes++;
    if (this.end === undefined) this.bytes = Buffer.concat([this.bytes, bytes]);
    return !this.#stalled;
  }

  finish(): void {
    this.end ??= 'finished';
  }

  cut(): void {
    this.end ??= 'cut';
  }

  /** The client takes nothing more: what is written all the same is kept for it. */
  stall(): void {
    this.#stalled = true;
  }

  unstall(): void {
    this.#stalled = false;
    this.onWritable?.();
  }

  async until(done: (call: this) => boolean, what: string): Promise<void> {
    await eventually(() => done(this), {
      what: `${what}; got ${this.outcome} ${this.text.slice(-2000)}`,
      waitMs: SOON_MS,
    });
  }

  /** It is answered, or refused. */
  async answered(): Promise<this> {
    await this.until(() => this.end !== undefined || this.refusal !== undefined, 'an answer');
    return this;
  }
}

export interface Caller {
  readonly link: Link;
  readonly routes: readonly Route[];
  readonly tokenKey?: string;
}

/** Hands the call to its route. */
export function callRoute(
  { link, routes, tokenKey }: Caller,
  method: Route['method'],
  path: string,
  options: CallOptions = {},
): FakeCall {
  const route = routes.find((one) => one.method === method && one.path === path);
  if (route === undefined) throw new Error(`Expected the route ${method} ${path}`);
  const call = new FakeCall(options);
  const parts: ApiParts = { link, tokenKey };
  route.handle(call, parts);
  return call;
}
