import type { Msg, NatsConnection, Subscription as Interest } from '@nats-io/transport-node';
import { callOut } from '../call-out.ts';
import type { Cancel } from '../link.ts';
import { errorText } from './error-text.ts';

export interface Wanted {
  readonly pattern: string;
  readonly queue: string | undefined;
  readonly onMessage: (message: Msg) => void;
  readonly onGap: (reason: string) => void;
}

interface Entry {
  readonly wanted: Wanted;
  /** Undefined: the server has none, or has ended it. */
  interest: Interest | undefined;
  /** Messages may have been missed, and nobody has been told. */
  missed: boolean;
}

/** What is subscribed to for as long as somebody wants it, over whatever connections there are. */
export class Interests {
  readonly #entries = new Set<Entry>();

  /** @param connection undefined: it is subscribed to with the next one. */
  add(connection: NatsConnection | undefined, wanted: Wanted): Cancel {
    // The library writes the name of the queue to the server as it is (bridge.md finding 1).
    if (/[^!-~]/.test(wanted.pattern + (wanted.queue ?? '')))
      throw new Error('Expected a pattern and a queue of visible ASCII characters, got others');
    const entry: Entry = { wanted, interest: undefined, missed: false };
    this.#entries.add(entry);
    if (connection !== undefined) subscribe(connection, entry);
    return () => {
      if (this.#entries.delete(entry)) entry.interest?.unsubscribe();
    };
  }

  /** The link is lost. */
  miss(): void {
    for (const entry of this.#entries) entry.missed ||= entry.interest !== undefined;
  }

  /** The connection is gone for good, and all that it had. */
  detach(): void {
    this.miss();
    for (const entry of this.#entries) entry.interest = undefined;
  }

  /** The link is up. What the connection has had before it has again. */
  attach(connection: NatsConnection): void {
    for (const entry of this.#entries) {
      if (entry.interest === undefined) subscribe(connection, entry);
      if (!entry.missed) continue;
      entry.missed = false;
      tellGap(entry, 'The connection to the NATS server was lost, and what was sent meanwhile');
    }
  }
}

function subscribe(connection: NatsConnection, entry: Entry): void {
  const { pattern, queue, onMessage } = entry.wanted;
  entry.interest = connection.subscribe(pattern, {
    ...(queue !== undefined && { queue }),
    callback: (error, message) => {
      if (error !== null) {
        entry.interest = undefined;
        tellGap(entry, errorText(error));
        return;
      }
      callOut(() => {
        onMessage(message);
      });
    },
  });
}

function tellGap({ wanted }: Entry, reason: string): void {
  callOut(() => {
    wanted.onGap(reason);
  });
}
