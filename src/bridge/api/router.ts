import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Field } from '../headers.ts';
import { MessageProblem } from '../problem.ts';
import { EVENTS_TYPE } from './media-types.ts';
import { decoded } from './parameters.ts';
import type { Route } from './route.ts';

/** What a request line names. */
export interface Match {
  readonly route: Route;
  /** Decoded once. */
  readonly path: Readonly<Record<string, string>>;
}

/** Why it names nothing. */
export interface NoMatch {
  readonly problem: MessageProblem;
  /** RFC 9110 section 15.5.6 wants Allow with 405. */
  readonly fields: readonly Field[];
}

/** What follows the segments that lead to it, and the routes that end there, by method. */
interface Branch {
  readonly literals: Map<string, Branch>;
  parameter: Branch | undefined;
  readonly routes: Map<string, { readonly route: Route; readonly names: readonly string[] }>;
}

const SEGMENTS_MAX = 16;

/** The table of routes, as a tree of path segments. */
export class Router {
  readonly #root = emptyBranch();
  readonly #paths: readonly string[];

  /** @param routes of which none may stand twice. */
  constructor(routes: readonly Route[]) {
    this.#paths = [...new Set(routes.map(({ path }) => path))];
    for (const route of routes) this.#add(route);
  }

  /** @param path of the target, without the query, as it was sent. */
  find(method: string, path: string): Match | NoMatch {
    const segments: string[] = [];
    for (const segment of path.slice(1).split('/')) {
      const text = decoded(segment);
      if (text === undefined || segments.length === SEGMENTS_MAX) return { problem: malformed(path), fields: [] };
      segments.push(text);
    }
    const branch = branchOf(this.#root, segments, 0);
    if (branch === undefined) return { problem: this.#noSuchRoute(path), fields: [] };
    const found = branch.routes.get(method);
    if (found === undefined) return methodNotAllowed(method, [...branch.routes.keys()]);
    const values: Record<string, string> = {};
    for (const [index, name] of found.names.entries()) if (name !== '') values[name] = segments[index]!;
    return { route: found.route, path: values };
  }

  #add(route: Route): void {
    const segments = route.path.slice(1).split('/');
    let branch = this.#root;
    for (const segment of segments) branch = isParameter(segment) ? parameterOf(branch) : literalOf(branch, segment);
    const names = segments.map((segment) => (isParameter(segment) ? segment.slice(1, -1) : ''));
    if (branch.routes.has(route.method)) throw new Error(`Expected ${route.method} ${route.path} once, got it twice`);
    branch.routes.set(route.method, { route, names });
    // RFC 9110 section 9.3.2: HEAD is GET without the body, which an endless one cannot be.
    const endless = route.answers.some(({ type }) => type === EVENTS_TYPE);
    if (route.method === 'GET' && !endless && !branch.routes.has('HEAD')) branch.routes.set('HEAD', { route, names });
  }

  #noSuchRoute(path: string): MessageProblem {
    const near =
      nearest(path.slice(0, 100), this.#paths) ?? this.#paths.find((known) => path.startsWith(`${fixedPart(known)}/`));
    const hint = near === undefined ? 'GET /v1 lists what there is' : `${near} is the nearest`;
    return new MessageProblem('no-such-route', `Expected a path of the bridge, got ${shown(path)}; ${hint}`, {
      nearest: near,
    });
  }
}

function emptyBranch(): Branch {
  return { literals: new Map(), parameter: undefined, routes: new Map() };
}

function parameterOf(branch: Branch): Branch {
  return (branch.parameter ??= emptyBranch());
}

function literalOf(branch: Branch, segment: string): Branch {
  let next = branch.literals.get(segment);
  if (next === undefined) branch.literals.set(segment, (next = emptyBranch()));
  return next;
}

function isParameter(segment: string): boolean {
  return segment.startsWith('{');
}

/** What is said literally goes before what is meant by a parameter. */
function branchOf(branch: Branch, segments: readonly string[], index: number): Branch | undefined {
  if (index === segments.length) return branch.routes.size > 0 ? branch : undefined;
  const literal = branch.literals.get(segments[index]!);
  const found = literal === undefined ? undefined : branchOf(literal, segments, index + 1);
  if (found !== undefined) return found;
  return branch.parameter === undefined ? undefined : branchOf(branch.parameter, segments, index + 1);
}

/** `/v1/publish` of `/v1/publish/{subject}`. */
function fixedPart(path: string): string {
  const brace = path.indexOf('/{');
  return brace < 0 ? path : path.slice(0, brace);
}

function malformed(path: string): MessageProblem {
  return new MessageProblem(
    'invalid-parameter',
    `Expected a path of at most ${SEGMENTS_MAX} segments of percent-encoded UTF-8, got ${shown(path)}`,
  );
}

function methodNotAllowed(method: string, allowed: readonly string[]): NoMatch {
  const allow = allowed.join(', ');
  return {
    problem: new MessageProblem('method-not-allowed', `Expected ${allow} here, got ${shown(method)}`),
    fields: [['allow', allow]],
  };
}
