import type { TestContext } from 'node:test';
import type { Msg } from '@nats-io/transport-node';
import type { OutgoingMessage, Settle, Stored } from '../../../src/bridge/link.ts';
import { NatsLink } from '../../../src/bridge/link/nats-link.ts';
import type { MessageProblem } from '../../../src/bridge/problem.ts';
import type { BridgeSecrets } from '../../../src/model/message.ts';
import { eventually } from '../../harness/client.ts';
import { settingsOf } from '../../harness/settings.ts';

export const NO_SECRETS: BridgeSecrets = {
  creds: undefined,
  nkey: undefined,
  user: undefined,
  tlsCa: undefined,
  tlsCert: undefined,
  tlsKey: undefined,
  tokenKey: undefined,
};
/** Wide: the machine may be busy. */
export const SOON_MS = 20_000;

export interface LinkFlags {
  /** Beside `nats-url`. */
  readonly flags?: Readonly<Record<string, string>>;
  readonly secrets?: Partial<BridgeSecrets>;
  readonly pingIntervalMs?: number;
}

/** A link that is told to connect, and closed after the test. */
export function openLink(t: TestContext, url: string, { flags, secrets, pingIntervalMs }: LinkFlags = {}): NatsLink {
  const settings = settingsOf({ 'node-name': 'loom', 'nats-url': url, ...flags });
  const link = new NatsLink({ settings, worker: 1, ...(pingIntervalMs !== undefined && { pingIntervalMs }) });
  t.after(() => link.close());
  link.connect({ ...NO_SECRETS, ...secrets });
  return link;
}

export async function upLink(t: TestContext, url: string, options: LinkFlags = {}): Promise<NatsLink> {
  const link = openLink(t, url, options);
  await untilUp(link);
  return link;
}

export async function untilUp(link: NatsLink): Promise<void> {
  await eventually(() => link.up, { what: 'the link to be up', waitMs: SOON_MS });
}

export function message(subject: string, body: string | Buffer = 'x', headers?: string): OutgoingMessage {
  return {
    subject,
    headers: headers === undefined ? undefined : Buffer.from(headers, 'latin1'),
    body: Buffer.from(body as string),
  };
}

/** What a call was settled with; the count tells one that was settled twice. */
export interface Settled<T> {
  count: number;
  problem: MessageProblem | undefined;
  value: T | undefined;
}

/** Hands a `settle` to the call, and resolves when it was called. */
export async function settled<T>(call: (settle: Settle<T>) => unknown): Promise<Settled<T>> {
  const result = collect(call);
  await eventually(() => result.count > 0, { what: 'the call to be settled', waitMs: SOON_MS });
  return result;
}

/** The same, and does not wait. */
export function collect<T>(call: (settle: Settle<T>) => unknown): Settled<T> {
  const result: Settled<T> = { count: 0, problem: undefined, value: undefined };
  let returned = false;
  call((problem, value) => {
    if (!returned) throw new Error('Expected to be settled after the call, got it before');
    result.count++;
    result.problem = problem;
    result.value = value;
  });
  returned = true;
  return result;
}

export function store(
  link: NatsLink,
  subject: string,
  { body = 'x', timeoutMs = 5000 } = {},
): Promise<Settled<Stored>> {
  return settled((settle) => link.store(message(subject, body), timeoutMs, settle));
}

export function request(link: NatsLink, subject: string, timeoutMs = 5000): Promise<Settled<Msg>> {
  return settled((settle) => link.request(message(subject), timeoutMs, settle));
}

export function publish(
  link: NatsLink,
  subject: string,
  ack: 'none' | 'server' = 'server',
): Promise<Settled<undefined>> {
  return settled((settle) => {
    link.publish(message(subject), ack, 5000, settle);
  });
}
