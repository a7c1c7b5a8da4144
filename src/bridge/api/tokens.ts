import { createHmac, timingSafeEqual } from 'node:crypto';
import { MessageProblem } from '../problem.ts';

/** Of a key, in bytes: as many as the hash has. */
const KEY_BYTES_MIN = 32;
const KEYS_MAX = 16;
const TOKEN_CHARS_MAX = 2048;

/** What a token stands for: one delivery of one message to one caller, until it is delivered again. */
export interface Ticket {
  /** Where it is acknowledged. */
  readonly ackSubject: string;
  /** Time of day, milliseconds since 1970: nodes share it. */
  readonly expiresMs: number;
}

/**
 * Signs what acknowledges a message, so that every node can take the acknowledgement and keeps nothing: whoever has a token was
 * given the message, and nobody can make one for what others were given (bridge.md 00.12).
 */
export class Tokens {
  /** The first one signs, all of them verify: so keys are changed. */
  readonly #keys: readonly string[];

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  /** @param text of the key file: a key in each line. Undefined: there is none. */
  static of(text: string | undefined): Tokens | MessageProblem {
    if (text === undefined)
      return new MessageProblem(
        'not-supported',
        'Expected --bridge-token-key-file, whose key signs acknowledgements, got none',
      );
    if (latest?.text !== text) latest = { text, tokens: tokensOf(text) };
    return latest.tokens;
  }

  /** @param identity of the caller that gets it: of no use to another one. */
  sign(identity: string, { ackSubject, expiresMs }: Ticket): string {
    const payload = Buffer.from(`${expiresMs} ${ackSubject}`);
    return `${payload.toString('base64url')}.${signature(this.#keys[0]!, identity, payload).toString('base64url')}`;
  }

  /** @param nowMs time of day. */
  verify(identity: string, token: string, nowMs: number): Ticket | MessageProblem {
    const parts = token.length > TOKEN_CHARS_MAX ? [] : token.split('.');
    if (parts.length !== 2) return invalid();
    const [payload, given] = parts.map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer];
    const good = this.#keys.some((key) => {
      const expected = signature(key, identity, payload);
      return expected.length === given.length && timingSafeEqual(expected, given);
    });
    if (!good) return invalid();
    const text = payload.toString();
    const space = text.indexOf(' ');
    const expiresMs = Number(text.slice(0, space));
    if (nowMs < expiresMs) return { ackSubject: text.slice(space + 1), expiresMs };
    return new MessageProblem(
      'expired-token',
      'Expected a token within the ack_wait of its message, got one that is late',
    );
  }
}

/** The file changes rarely. */
let latest: { readonly text: string; readonly tokens: Tokens | MessageProblem } | undefined;

function tokensOf(text: string): Tokens | MessageProblem {
  const keys = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const good =
    keys.length > 0 && keys.length <= KEYS_MAX && keys.every((key) => Buffer.byteLength(key) >= KEY_BYTES_MIN);
  if (good) return new Tokens(keys);
  const detail = `Expected --bridge-token-key-file to have 1 to ${KEYS_MAX} lines of at least ${KEY_BYTES_MIN} bytes, got others`;
  return new MessageProblem('not-supported', detail);
}

/** JSON keeps apart what belongs to the identity and what to the rest. */
function signature(key: string, identity: string, payload: Buffer): Buffer {
  return createHmac('sha256', key).update(JSON.stringify(identity)).update(payload).digest();
}

function invalid(): MessageProblem {
  return new MessageProblem('invalid-token', 'Expected a token that this caller was given, got another text');
}
