import type { LiveBackend } from '../balance.ts';
import { composeRequest, type Decision, type Identity } from '../decide.ts';
import { FIELD, type Head } from '../http.ts';
import type { LiveMirror } from '../route.ts';
import { type MirrorContext, MirroredRequest } from './mirrored-request.ts';
import { BODY_BYTES_MAX, RequestCopy } from './request-copy.ts';

export type { RequestCopy };

/** The mirrored requests of a worker: `--limit-mirrors` of them at once, from when their copying begins. */
export class Mirrors {
  readonly #free: MirroredRequest[] = [];
  #active = 0;

  /**
   * Begins to copy a request, which goes to its backend, to those mirrors of its rule that the decision names. A copy leaves when the
   * request is complete, so that no mirror sees half of one, and after the request itself, which waits for nothing. What cannot be
   * copied is counted, and so is what does not leave.
   * @param head of the request. @param bodyless it is all of it. @returns what takes the rest; undefined: there is none, or nobody
   * wants it.
   */
  copy(
    context: MirrorContext,
    { head, bodyless }: { readonly head: Head; readonly bodyless: boolean },
    identity: Identity,
    decision: Decision,
  ): RequestCopy | undefined {
    const requests: MirroredRequest[] = [];
    for (const [index, mirror] of decision.rule!.mirrors.entries()) {
      const backend = ((decision.mirrors >> index) & 1) === 1 ? backendOf(mirror, context) : undefined;
      if (backend === undefined) continue;
      const request = canBeCopied(head) && !context.pressure.sheds('mirror') ? this.#take(context) : undefined;
      if (request === undefined) {
        backend.meter.mirrored('dropped');
        continue;
      }
      request.begin(backend, identity.source);
      composeRequest(request.edits, head, identity, decision, mirror.request);
      // RFC 9110 section 10.1.1: its content is here already.
      request.edits.drop |= 1 << FIELD.expect;
      requests.push(request);
    }
    return requests.length === 0 ? undefined : RequestCopy.begin(context, head, bodyless, requests);
  }

  #take(context: MirrorContext): MirroredRequest | undefined {
    if (this.#active >= context.limits.mirrors) return undefined;
    this.#active++;
    return this.#free.pop() ?? new MirroredRequest(context, this.#give);
  }

  readonly #give = (request: MirroredRequest): void => {
    this.#active--;
    this.#free.push(request);
  };
}

function backendOf({ mirror }: LiveMirror, { plan }: MirrorContext): LiveBackend | undefined {
  return mirror.backend && plan.backends.get(mirror.backend);
}

/** What becomes of an upgraded connection is not a request any more. */
function canBeCopied({ upgrade, contentLength }: Head): boolean {
  return !upgrade && contentLength <= BODY_BYTES_MAX;
}
