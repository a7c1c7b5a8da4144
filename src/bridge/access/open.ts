import { POLICY_HEADERS, type Workload } from '../../model/snapshot.ts';
import type { Grant, Grants } from '../access.ts';
import type { MessageProblem } from '../problem.ts';
import { identityOf, never } from './own.ts';

const HEADERS: ReadonlySet<string> = new Set(POLICY_HEADERS);

/** Nothing is limited, but for headers that no policy could allow. */
const OPEN: Grant = {
  policy: 'open',
  maxPayload: Infinity,
  allowsHeader: (name) => HEADERS.has(name),
  take: () => undefined,
};

/** Of anybody on a node with `--bridge-open`. */
export class NoLimits implements Grants {
  readonly identity: string;

  constructor(workload: Workload | undefined) {
    this.identity = identityOf(workload, 'open:');
  }

  publish(): Grant {
    return OPEN;
  }

  request(): Grant {
    return OPEN;
  }

  subscribe(pattern: string): Grant | MessageProblem {
    return never.subscribe(pattern) ?? OPEN;
  }

  readStream(): Grant {
    return OPEN;
  }

  pull(stream: string, consumer: string): Grant | MessageProblem {
    return never.pull(stream, consumer) ?? OPEN;
  }

  kv(bucket: string): Grant | MessageProblem {
    return never.kv(bucket) ?? OPEN;
  }
}
