import { covers } from '../../lib/subject.ts';
import type { Subscription } from '../../model/snapshot.ts';
import { ApiRefusal, type JetStreamApi, NoAnswer, type StreamSummary } from './jetstream-api.ts';

/** What a subscription needs of the server, and does not get. */
export class Unmet extends Error {
  readonly expected: string;
  readonly got: string;

  constructor(expected: string, got: string) {
    super(`Expected ${expected}, got ${got}`);
    this.expected = expected;
    this.got = got;
  }
}

/**
 * The stream that the messages of a subscription come from; undefined: they come from none, and are delivered at most once.
 * In mode auto that is decided by whether exactly one stream binds all of its subjects.
 */
export async function findStream(api: JetStreamApi, subscription: Subscription): Promise<StreamSummary | undefined> {
  const { mode, stream, subjects } = subscription;
  if (mode === 'core') return undefined;
  if (stream !== undefined) {
    try {
      return await api.stream(stream);
    } catch (error) {
      if (error instanceof ApiRefusal && error.notFound) throw new Unmet(`a stream ${stream}`, 'StreamMissing');
      throw error;
    }
  }
  const found = await streamsThatBind(api, subjects);
  if (found.length === 1) return found[0];
  if (mode === 'auto') return undefined;
  const got = found.length === 0 ? 'StreamMissing: none does' : found.map(({ name }) => name).join(', ');
  throw new Unmet(`one stream that binds ${subjects.join(', ')}`, got);
}

/** Is there a stream that keeps what is sent to this subject? */
export async function isStored(api: JetStreamApi, subject: string): Promise<boolean> {
  return (await streamsThatBind(api, [subject])).length > 0;
}

async function streamsThatBind(api: JetStreamApi, subjects: readonly string[]): Promise<readonly StreamSummary[]> {
  try {
    const candidates = await api.streamsOf(subjects[0]!);
    return candidates.filter((stream) =>
      subjects.every((subject) => stream.subjects.some((bound) => covers(bound, subject))),
    );
  } catch (error) {
    // Nobody answers where the server has no JetStream.
    if (error instanceof NoAnswer && error.problem.code === 'no-responders') return [];
    throw error;
  }
}
