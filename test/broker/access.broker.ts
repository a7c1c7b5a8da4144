import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NatsConnection, PermissionViolationError } from '@nats-io/transport-node';
import { covers, matches, overlaps } from '../../src/lib/subject.ts';
import { Broker } from '../harness/broker.ts';

// What we let pass, a server with the same permissions lets pass too; and what a server delivers, we said that it would match.

const PATTERNS = ['a', 'a.a', 'a.b', 'b', 'a.*', '*.b', 'a.>', '*', '>', 'a.*.b', 'a.*.>', '*.*', 'b.>'];
const LITERALS = ['a', 'b', 'a.a', 'a.b', 'b.a', 'b.b', 'a.a.a', 'a.a.b', 'a.b.b', 'b.a.b'];
const MARK = 'mark';
/** Pairs of an allowed and a denied pattern: users of one server, each with the rights of one pair. */
const RULES = PATTERNS.flatMap((allow) => ['c', 'a.b', 'a.*', '*.b', 'a.>'].map((deny) => ({ allow, deny })));

function configuration(): string {
  const users = RULES.map(({ allow, deny }, index) => {
    const rights = `{ allow: ["${allow}", "${MARK}"], deny: ["${deny}"] }`;
    return `{ user: "u${index}", password: "p", permissions: { publish: ${rights}, subscribe: ${rights} } }`;
  });
  return `authorization { users: [\n${users.join('\n')}\n{ user: "all", password: "p" } ] }`;
}

interface Judged {
  readonly publish: ReadonlySet<string>;
  readonly subscribe: ReadonlySet<string>;
}

/** What the server lets this user do; ends the connection. Its refusals come before its answer to a PING behind what was tried. */
async function judgedByServer(connection: NatsConnection): Promise<Judged> {
  const denied = { publish: new Set<string>(), subscribe: new Set<string>() };
  const note = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type !== 'error') continue;
      if (!(status.error instanceof PermissionViolationError)) continue;
      const { operation, subject } = status.error;
      denied[operation === 'publish' ? 'publish' : 'subscribe'].add(subject);
    }
  };
  const noting = note();
  for (const literal of LITERALS) connection.publish(literal);
  for (const pattern of PATTERNS) connection.subscribe(pattern, { callback: () => {} });
  await connection.flush();
  await connection.close();
  await noting;
  return {
    publish: new Set(LITERALS.filter((literal) => !denied.publish.has(literal))),
    subscribe: new Set(PATTERNS.filter((pattern) => !denied.subscribe.has(pattern))),
  };
}

test('whoever may do something by our rules may do it by those of a server, and may publish nothing less', async (t) => {
  const broker = await Broker.start({ config: configuration() });
  t.after(() => broker.stop());
  for (const [index, { allow, deny }] of RULES.entries()) {
    const connection = await broker.connect({ user: `u${index}`, pass: 'p', reconnect: false });
    const server = await judgedByServer(connection);
    for (const literal of LITERALS)
      assert.equal(
        matches(allow, literal) && !overlaps(deny, literal),
        server.publish.has(literal),
        `${allow} but ${deny}: publish ${literal}`,
      );
    for (const pattern of PATTERNS)
      if (covers(allow, pattern) && !overlaps(deny, pattern))
        assert.ok(server.subscribe.has(pattern), `${allow} but ${deny}: subscribe ${pattern}`);
  }
});

test('a pattern matches what a server delivers to it', async (t) => {
  const broker = await Broker.start();
  t.after(() => broker.stop());
  const connection = await broker.connect();
  const delivered = new Map(PATTERNS.map((pattern) => [pattern, new Set<string>()]));
  for (const pattern of PATTERNS)
    connection.subscribe(pattern, {
      callback: (_error, message) => {
        delivered.get(pattern)!.add(message.subject);
      },
    });
  for (const literal of LITERALS) connection.publish(literal);
  await connection.flush();
  for (const pattern of PATTERNS)
    assert.deepEqual(
      [...delivered.get(pattern)!],
      LITERALS.filter((literal) => matches(pattern, literal)),
      pattern,
    );
});
