import type { TestContext } from 'node:test';
import type { Access, Grant, Grants } from '../../../src/bridge/access.ts';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { BridgeListener, type BridgeListenerOptions } from '../../harness/bridge.ts';
import { Client, exchange, type FinalReply } from '../../harness/client.ts';
import { FakeLink } from './fake-link.ts';

/** What the policy of a test allows; everything that it does not name is allowed. */
export interface Allowance {
  readonly publish?: (subject: string) => boolean;
  readonly request?: (subject: string) => boolean;
  readonly maxPayload?: number;
  readonly headers?: readonly string[];
  readonly take?: () => MessageProblem | undefined;
}

export const IDENTITY = 'shop/web';

/** Everybody is `shop/web`, under a policy of the name `test`. */
export function accessOf({ publish, request, maxPayload = Infinity, headers = [], take }: Allowance = {}): Access {
  const grant: Grant = {
    policy: 'test',
    maxPayload,
    allowsHeader: (name) => headers.includes(name),
    take: take ?? (() => undefined),
  };
  const judge = (what: string, subject: string, allows?: (subject: string) => boolean): Grant | MessageProblem =>
    allows?.(subject) === false ? new MessageProblem('not-allowed', `Nobody may ${what} ${subject}`) : grant;
  const grants: Grants = {
    identity: IDENTITY,
    publish: (subject) => judge('publish to', subject, publish),
    request: (subject) => judge('request', subject, request),
    subscribe: () => grant,
    readStream: () => grant,
    pull: () => grant,
    kv: () => grant,
  };
  return { grantsOf: () => grants };
}

export interface Scene {
  readonly link: FakeLink;
  readonly bridge: BridgeListener;
  /** One call on a connection of its own. @param headers `name: value`. */
  readonly call: (line: string, headers?: readonly string[], body?: string | Buffer) => Promise<FinalReply>;
  readonly client: () => Promise<Client>;
}

/** The API with a link of the test's own, gone when the test ends. */
export async function sceneFor(
  t: TestContext,
  allowance: Allowance = {},
  options: Partial<BridgeListenerOptions> = {},
): Promise<Scene> {
  const link = new FakeLink();
  const bridge = await BridgeListener.start({ link, access: accessOf(allowance), ...options });
  t.after(() => bridge.stop());
  return {
    link,
    bridge,
    call: async (line, headers = [], body) => await exchange(bridge.port, requestText(line, headers, body)),
    client: async () => {
      const client = await Client.connect(bridge.port);
      t.after(() => client.destroy());
      return client;
    },
  };
}

/** A request with the length of its body. */
export function requestText(line: string, headers: readonly string[] = [], body?: string | Buffer): string {
  const bytes = Buffer.from(body ?? '');
  const length = body === undefined ? [] : [`Content-Length: ${bytes.length}`];
  return `${[`${line} HTTP/1.1`, 'Host: bridge', ...headers, ...length, '', ''].join('\r\n')}${bytes.toString('latin1')}`;
}

/** The problem document of a reply. */
export function problemOf({ body }: Pick<FinalReply, 'body'>): Readonly<Record<string, unknown>> {
  return JSON.parse(body) as Readonly<Record<string, unknown>>;
}
