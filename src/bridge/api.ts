import { isIP } from 'node:net';
import { shown } from '../lib/shown.ts';
import { BRIDGE_AUTHORITY } from '../model/snapshot.ts';
import type { BridgeSecrets, CallCount } from '../model/message.ts';
import type { MessageRecord } from '../telemetry.ts';
import type { Carrier } from '../proxy/http.ts';
import type { Access, Grants } from './access.ts';
import { BULK_ROUTES } from './api/bulk.ts';
import type { Call } from './api/call.ts';
import { CONSUMER_ROUTES } from './api/consumers.ts';
import { CallCounts } from './api/counts.ts';
import { KV_ROUTES } from './api/kv.ts';
import { JSON_TYPE } from './api/media-types.ts';
import { MESSAGE_ROUTES } from './api/messages.ts';
import { readQuery } from './api/parameters.ts';
import { PUBLISH_ROUTES } from './api/publish.ts';
import { REQUEST_ROUTES } from './api/request.ts';
import type { ApiParts, Route } from './api/route.ts';
import { Router } from './api/router.ts';
import { STREAM_ROUTES } from './api/streams.ts';
import { soon } from './call-out.ts';
import { CarriedCall } from './carried-call.ts';
import type { Field } from './headers.ts';
import type { Link } from './link.ts';
import { MessageProblem } from './problem.ts';

/** All that the bridge answers, in the order of the manual. */
export const ROUTES: readonly Route[] = [
  ...PUBLISH_ROUTES,
  ...BULK_ROUTES,
  ...REQUEST_ROUTES,
  ...MESSAGE_ROUTES,
  ...STREAM_ROUTES,
  ...CONSUMER_ROUTES,
  ...KV_ROUTES,
];

/** Of a call that names no route. */
const NO_OPERATION = 'none';

/** What a browser sends of itself where a page of another site made it send something. */
const FOREIGN_SITES: ReadonlySet<string> = new Set(['cross-site', 'same-site']);

/** What all calls of a worker share. */
interface Shared {
  readonly access: Access;
  readonly router: Router;
  readonly counts: CallCounts;
  readonly open: Set<ApiCall>;
  parts: ApiParts;
  draining: boolean;
}

/** The bridge's API: each call is carried by a carrier of its own, behind `serve` as any exchange. */
export class Api {
  readonly #shared: Shared;

  constructor(link: Link, access: Access) {
    this.#shared = {
      access,
      router: new Router([...ROUTES, indexRoute, openApiRoute]),
      counts: new CallCounts(),
      open: new Set(),
      parts: { link, tokenKey: undefined },
      draining: false,
    };
  }

  /** Since the worker began. */
  get calls(): readonly CallCount[] {
    return this.#shared.counts.all;
  }

  /** What stands in the key file, for calls from now on. */
  admit({ tokenKey }: BridgeSecrets): void {
    this.#shared.parts = { ...this.#shared.parts, tokenKey };
  }

  carrier(): Carrier {
    return new ApiCall(this.#shared);
  }

  /** What callers may do has changed: long answers are judged anew. */
  reconsider(): void {
    for (const call of this.#shared.open) call.onPolicies?.();
  }

  /** Long answers come to their end. New calls are still answered. */
  drain(): void {
    this.#shared.draining = true;
    // A call that ends is taken out of the set, which does not disturb going through it.
    for (const call of this.#shared.open) call.onDrain?.();
  }
}

class ApiCall extends CarriedCall implements Call {
  path: Readonly<Record<string, string>> = {};
  query: Readonly<Record<string, unknown>> = {};
  readonly #shared: Shared;
  onPolicies: (() => void) | undefined = undefined;
  #operation = NO_OPERATION;
  #record: MessageRecord | undefined = undefined;
  #result = 'ok';

  constructor(shared: Shared) {
    super();
    this.#shared = shared;
  }

  get grants(): Grants {
    return this.#shared.access.grantsOf(this.source);
  }

  override describe(message: MessageRecord): void {
    this.#record = message;
    super.describe(message);
  }

  override problem(problem: MessageProblem, fields: readonly Field[] = []): void {
    if (!this.isOver) this.#result = problem.code;
    super.problem(problem, fields);
  }

  protected override begin(): void {
    const { open, parts, router } = this.#shared;
    open.add(this);
    const { head } = this;
    const target = head.text(head.pathStart, head.targetEnd);
    const question = target.indexOf('?');
    const path = question < 0 ? target : target.slice(0, question);
    const match = router.find(head.text(0, head.methodEnd), path === '' ? '/' : path);
    if ('problem' in match) {
      this.problem(match.problem, match.fields);
      return;
    }
    const { route } = match;
    this.#operation = route.operation;
    const query = readQuery(question < 0 ? '' : target.slice(question + 1), route.parameters.query);
    const refusal =
      query instanceof MessageProblem ? query : (this.#rebound() ?? this.#foreign(route) ?? noBroker(route, parts));
    if (refusal !== undefined) {
      this.problem(refusal);
      return;
    }
    this.path = match.path;
    this.query = query as Readonly<Record<string, unknown>>;
    route.handle(this, parts);
    if (this.#shared.draining) this.onDrain?.();
  }

  protected override onOver(answered: boolean): void {
    const { open, counts } = this.#shared;
    open.delete(this);
    if (!answered) this.#result = 'client-gone';
    const record = this.#record;
    if (record !== undefined && this.#result !== 'ok') record.result = this.#result;
    counts.add(record?.destination ?? '', this.#operation, record?.result ?? this.#result, record?.messages ?? 0);
  }

  /**
   * A page of a foreign site must not reach the bridge of the machine that its browser runs on by a name of its own that leads to
   * loopback (DNS rebinding): from there only names are good that nobody else can have, such as those without a dot.
   */
  #rebound(): MessageProblem | undefined {
    if (!isLoopback(this.source.address)) return undefined;
    const { authority } = this.head;
    const host = this.head.text(authority.hostStart, authority.hostEnd).toLowerCase();
    if (!host.includes('.') || isIP(host) !== 0 || host === BRIDGE_AUTHORITY || host.endsWith('.localhost'))
      return undefined;
    const expected = `an IP address, localhost or ${BRIDGE_AUTHORITY} as Host of a call from this machine`;
    return new MessageProblem('not-allowed', `Expected ${expected}, got ${shown(host)}`);
  }

  /** No page may have something done here: there is no CORS, and browsers say where a page is from (Fetch Metadata). */
  #foreign({ method }: Route): MessageProblem | undefined {
    if (method === 'GET' || method === 'HEAD') return undefined;
    const site = this.header('sec-fetch-site');
    if (this.header('origin') === undefined && (site === undefined || !FOREIGN_SITES.has(site))) return undefined;
    return new MessageProblem('not-allowed', 'Expected a program, got a page in a browser (Origin or Sec-Fetch-Site)');
  }
}

/** What needs no broker answers without one. */
const WITHOUT_BROKER: ReadonlySet<string> = new Set(['index', 'openapi']);

function noBroker({ operation }: Route, { link }: ApiParts): MessageProblem | undefined {
  if (link.up || WITHOUT_BROKER.has(operation)) return undefined;
  const { state, error } = link.report;
  const because = error === '' ? '' : `: ${error}`;
  return new MessageProblem('no-broker', `Expected a connection to the NATS server, got none (${state})${because}`);
}

const indexRoute: Route = {
  method: 'GET',
  path: '/v1',
  operation: 'index',
  summary: 'What there is',
  parameters: { path: {}, query: {} },
  headers: {},
  takes: [],
  answers: [{ status: 200, description: 'Methods and paths', type: JSON_TYPE }],
  handle(call) {
    const routes = ROUTES.map(({ method, path, summary }) => ({ method, path, summary }));
    call.reply(200, [['content-type', JSON_TYPE]], jsonLine({ description: '/v1/openapi.json', routes }));
  },
};

const openApiRoute: Route = {
  method: 'GET',
  path: '/v1/openapi.json',
  operation: 'openapi',
  summary: 'This description',
  parameters: { path: {}, query: {} },
  headers: {},
  takes: [],
  answers: [{ status: 200, description: 'OpenAPI 3.1', type: JSON_TYPE }],
  handle(call) {
    // Whoever asks waits a little: each worker would pay for it else.
    void import('./api/openapi.ts').then(({ openApi }) => {
      soon(() => {
        call.reply(200, [['content-type', JSON_TYPE]], jsonLine(openApi([...ROUTES, indexRoute, openApiRoute])));
      });
    });
  },
};

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function jsonLine(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
