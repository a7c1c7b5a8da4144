import { startNatsServer } from './nats/server.ts';

/** The NATS server that the bridge of the try-out talks to. */
export interface DemoNats {
  readonly urls: readonly string[];
  /** File with the key for acknowledgements of pulled messages; undefined: that of the settings, if any. */
  readonly tokenKey: string | undefined;
  /** Which one it is and what it can do, for the visitor. */
  readonly about: string;
  /** Leaves nothing behind. */
  stop(): Promise<void>;
}

const nothing = async (): Promise<void> => {};

/**
 * The visitor's own server where one is given; else nats-server, if that is on the PATH; else the broker of the demo.
 *
 * @param startBroker starts the demo's; resolves with its port on loopback
 */
export async function startNats(urls: readonly string[], startBroker: () => Promise<number>): Promise<DemoNats> {
  const about = `the NATS server at ${urls.join(', ')}`;
  if (urls.length > 0) return { urls, tokenKey: undefined, about, stop: nothing };
  let instead = 'for streams, install nats-server';
  try {
    const server = await startNatsServer();
    if (server !== undefined) return server;
  } catch (error) {
    instead = `the nats-server on the PATH does not work: ${(error as Error).message}`;
  }
  const port = await startBroker();
  return {
    urls: [`nats://127.0.0.1:${port}`],
    tokenKey: undefined,
    about: `a broker of the demo (${instead})`,
    stop: nothing,
  };
}
