import type { FailureCode } from '../../model/failure.ts';
import type { SessionPolicy } from '../../model/routing.ts';
import type { BackendId, Frontend, FrontendPort } from '../../model/snapshot.ts';
import { PATH_AS_IT_IS } from '../http.ts';
import type { LiveRouting, LiveRule, LiveTable, LiveTarget, Terms } from '../route.ts';

/**
 * What the plan says about one head, with what it was said by: `serve` obeys it, `explain` tells it. Each serving has one, that is
 * written anew for each of its exchanges.
 */
export class Decision {
  /** Undefined: see `answer`. */
  failure: FailureCode | undefined = undefined;
  detail = '';
  /** What the mesh answers by itself; `none`: the request goes to `backend`. */
  answer: 'none' | 'redirect' | 'preflight' | 'abort' = 'none';
  /** Undefined: it fails before one is known, or is answered. */
  backend: BackendId | undefined = undefined;

  // Which Service.
  /** What named it. `listener`: it came in by the bridge's own address. */
  by: 'listener' | 'authority' | 'bare-name' | 'path' | 'header' = 'authority';
  frontend: Frontend | undefined = undefined;
  port: FrontendPort | undefined = undefined;

  // Which rule. Undefined: there are none for this client.
  /** Of the client; empty: unknown, or it makes no difference. */
  namespace = '';
  routing: LiveRouting | undefined = undefined;
  table: LiveTable | undefined = undefined;
  /** Index of the entry of the table that fits; -1: none does. */
  entry = -1;
  /** Kinds of fields that rules did not look at, as bits. */
  unseen = 0;
  rule: LiveRule | undefined = undefined;

  /** Undefined: those of the settings. */
  terms: Terms | undefined = undefined;

  // Which target of the rule.
  target: LiveTarget | undefined = undefined;
  /** What the dice said, from 0 to below 1; -1: they were not asked. */
  roll = -1;
  session: SessionPolicy | undefined = undefined;
  /** Of the token that the request brought: its endpoint (`endpointMark`); 0: it brought none, or none that holds. */
  endpointMark = 0;
  /** When the session ends, seconds since 1970; 0: never. Of the token, else to be written into a new one. */
  sessionEndS = 0;

  // Deeds.
  /** Mirrors of the rule that get a copy, as bits. */
  mirrors = 0;
  /** Who asked for the faults. */
  faultsBy: 'nobody' | 'policy' | 'client' = 'nobody';
  abortStatus = 0;
  delayMs = 0;
  /** Of the reply's body; 0: as fast as it comes. */
  throttleBytesPerS = 0;

  // The path.
  /** Where in the target the path starts that rules look at and that goes on, and what stands before it. */
  pathStart = 0;
  pathPrefix: Buffer = PATH_AS_IT_IS;

  reset(): void {
    this.failure = undefined;
    this.detail = '';
    this.answer = 'none';
    this.backend = undefined;
    this.by = 'authority';
    this.frontend = undefined;
    this.port = undefined;
    this.namespace = '';
    this.routing = undefined;
    this.table = undefined;
    this.entry = -1;
    this.unseen = 0;
    this.rule = undefined;
    this.terms = undefined;
    this.target = undefined;
    this.roll = -1;
    this.session = undefined;
    this.endpointMark = 0;
    this.sessionEndS = 0;
    this.mirrors = 0;
    this.faultsBy = 'nobody';
    this.abortStatus = 0;
    this.delayMs = 0;
    this.throttleBytesPerS = 0;
    this.pathStart = 0;
    this.pathPrefix = PATH_AS_IT_IS;
  }

  fail(failure: FailureCode, detail: string): this {
    this.failure = failure;
    this.detail = detail;
    return this;
  }
}
