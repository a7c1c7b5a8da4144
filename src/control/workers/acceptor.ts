import net from 'node:net';
import { closeQuietly } from '../../lib/quiet-close.ts';
import type { ListenerName } from '../../model/message.ts';
import type { Handover } from './handover.ts';

export interface AcceptorListen {
  readonly listener: ListenerName;
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** No other process may listen here, so that a port that is taken is noticed. */
  readonly exclusive: boolean;
}

export interface Acceptor {
  readonly port: number;
  /** Resolves when no more is accepted; what was accepted is the hand-over's. Takes a second at most. */
  close(): Promise<void>;
}

const BACKLOG = 4096;
/** A port that is never quiet is closed all the same. */
const CLOSE_MS_MAX = 1000;
/** A new process can take over from an old one. Linux has it; where it is missing `listen` would fail. */
const REUSE_PORT = process.platform === 'linux';

/** Accepts on the main thread, and gives each connection to the hand-over. */
export function openAcceptor(
  { listener, host, port, exclusive }: AcceptorListen,
  handover: Handover,
): Promise<Acceptor> {
  let entrance = { listener, port };
  const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
    handover.take(socket, entrance);
  });
  let closing: Promise<void> | undefined;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG, reusePort: REUSE_PORT && !exclusive }, () => {
      server.removeListener('error', reject);
      // Out of descriptors: libuv accepts and closes what it has none for, so that its client learns at once.
      server.on('error', () => {});
      entrance = { listener, port: (server.address() as net.AddressInfo).port };
      resolve({ port: entrance.port, close: () => (closing ??= closeQuietly(server, CLOSE_MS_MAX)) });
    });
  });
}
