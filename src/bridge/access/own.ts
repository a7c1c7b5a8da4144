import { reservedRefusal } from '../../lib/subject.ts';
import { OWN_PREFIX } from '../../model/snapshot.ts';
import { MessageProblem } from '../problem.ts';

/** Why nobody may do that, whatever policies and `--bridge-open` say; undefined: they decide. */
export const never = {
  subscribe(pattern: string): MessageProblem | undefined {
    const refusal = reservedRefusal(pattern);
    return refusal === undefined ? undefined : new MessageProblem('not-allowed', refusal);
  },
  pull(stream: string, consumer: string): MessageProblem | undefined {
    if (!consumer.startsWith(OWN_PREFIX)) return undefined;
    return new MessageProblem(
      'not-allowed',
      `Consumer ${stream}/${consumer} is Heddle's own: it delivers to a Service`,
    );
  },
  kv(bucket: string): MessageProblem | undefined {
    if (!bucket.startsWith(OWN_PREFIX)) return undefined;
    return new MessageProblem('not-allowed', `Bucket ${bucket} is Heddle's own`);
  },
};

/** How a caller's keys and tokens are told from those of others. Namespaces have no colon, so that it is nobody else's. */
export function identityOf(
  workload: { readonly namespace: string; readonly serviceAccount: string } | undefined,
  otherwise: string,
): string {
  return workload === undefined ? otherwise : `${workload.namespace}/${workload.serviceAccount}`;
}
