import {
  type Auth,
  credsAuthenticator,
  nkeyAuthenticator,
  type TlsOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import type { BridgeSecrets } from '../../model/message.ts';
import type { NatsSettings } from '../../model/settings.ts';

/** The files cannot be used as they are: no server was asked. */
export class UnusableCredentials extends Error {}

const NAMES = ['creds', 'nkey', 'user', 'tlsCa', 'tlsCert', 'tlsKey'] as const;
type LinkSecrets = Pick<BridgeSecrets, (typeof NAMES)[number]>;

/** What lets the link in. The client library asks at each attempt to connect, so that it is always what the files say now. */
export class Admission {
  /** Undefined: without TLS, unless the server has it. Where it is, a server without TLS is no server for us. */
  readonly tls: TlsOptions | undefined;
  #secrets: Partial<LinkSecrets> = {};

  constructor({ urls, tlsCa, tlsCert }: NatsSettings) {
    const wanted = tlsCa !== undefined || tlsCert !== undefined || urls.some((url) => url.startsWith('tls://'));
    this.tls = wanted ? {} : undefined;
  }

  /** @returns they differ from the ones before. */
  take(secrets: LinkSecrets): boolean {
    if (NAMES.every((name) => secrets[name] === this.#secrets[name])) return false;
    this.#secrets = secrets;
    const { tlsCa: ca, tlsCert: cert, tlsKey: key } = secrets;
    // The library has a reference to it.
    if (this.tls !== undefined) Object.assign(this.tls, { ca, cert, key });
    return true;
  }

  /** Signs what the server asks to be signed. Throws `UnusableCredentials`. */
  readonly authenticator = (nonce?: string): Auth => {
    const { creds, nkey, user } = this.#secrets;
    try {
      if (creds !== undefined) return credsAuthenticator(Buffer.from(creds))(nonce);
      if (nkey !== undefined) return nkeyAuthenticator(Buffer.from(nkey.trim()))(nonce);
    } catch (error) {
      const what = creds === undefined ? 'the seed of an nkey' : 'a file of credentials';
      throw new UnusableCredentials(`Expected ${what}, got something else`, { cause: error });
    }
    if (user !== undefined) return userOrToken(user.trim())(nonce);
    return undefined;
  };
}

function userOrToken(text: string): (nonce?: string) => Auth {
  const colon = text.indexOf(':');
  if (colon < 0) return tokenAuthenticator(text);
  return usernamePasswordAuthenticator(text.slice(0, colon), text.slice(colon + 1));
}
