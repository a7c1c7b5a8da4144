import type { CallReply } from '../load.ts';

/** Namespace of the echo Services and of a client, and one of clients only. */
export const PRODUCER = 'echo-producer';
export const CONSUMER = 'echo-consumer';

export type Backend = 'echo-v1' | 'echo-v2';

/** A case of Gateway API's conformance suite for meshes, by its name there, with the routes and the expectations that it has. */
export interface Case {
  readonly name: string;
  readonly routes: readonly object[];
  readonly exchanges: readonly Expected[];
}

/** One request, and what has to become of it. */
export interface Expected {
  /** Namespace of the client; default: that of the Services. */
  readonly from?: string;
  readonly request: {
    /** A Service by its name, which becomes the Host field. Default: `echo`. */
    readonly host?: string;
    /**
     * `cluster-ip`: the Service of that name is named by its ClusterIP in the absolute form, whatever Host says. `pod`: a pod of that
     * name is asked itself, past the mesh.
     */
    readonly to?: { readonly by: 'cluster-ip' | 'pod'; readonly name: Backend };
    /** Default: `/`. */
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
  /** Default: 200. */
  readonly status?: number;
  /** Whose pod answered; default: whoever. */
  readonly backend?: Backend;
  /** As the pod got it. Of headers several values are one, by comma; undefined: absent. */
  readonly seen?: { readonly path?: string; readonly headers?: Readonly<Record<string, string | undefined>> };
  /** Of the reply; undefined: absent. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** What programs/app.ts answers. */
interface Echo {
  readonly pod: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What of a reply is not as it was expected; empty: nothing. */
export function differences(expected: Expected, reply: CallReply): readonly string[] {
  const { status = 200, backend, seen, headers = {} } = expected;
  if (reply.status !== status) return [`expected status ${status}, got ${reply.status} ${reply.body}`];
  const found = Object.entries(headers).map(([name, value]) => differs(`header ${name}`, value, reply.headers[name]));
  if (backend !== undefined || seen !== undefined) {
    const echo = JSON.parse(reply.body) as Echo;
    if (backend !== undefined && !echo.pod.startsWith(`${backend}-`)) {
      found.push(`expected ${backend} to answer, got ${echo.pod}`);
    }
    found.push(differs('path as it arrived', seen?.path ?? echo.path, echo.path));
    for (const [name, value] of Object.entries(seen?.headers ?? {})) {
      found.push(differs(`${name} as it arrived`, value, echo.headers[name]?.replaceAll(/, +/g, ',')));
    }
  }
  return found.filter((text) => text !== '');
}

function differs(what: string, expected: string | undefined, got: string | readonly string[] | undefined): string {
  if (expected === got) return '';
  return `expected ${what} to be ${expected ?? 'absent'}, got ${got === undefined ? 'none' : got.toString()}`;
}

/** An HTTPRoute whose parent is a Service of the producer's namespace. */
export function route(
  name: string,
  parent: { readonly service: string; readonly port?: number; readonly from?: string },
  rules: readonly object[],
): object {
  const { service, port, from = PRODUCER } = parent;
  const parentRef = {
    group: '',
    kind: 'Service',
    name: service,
    ...(from === PRODUCER ? {} : { namespace: PRODUCER }),
    ...(port === undefined ? {} : { port }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { namespace: from, name },
    spec: { parentRefs: [parentRef], rules },
  };
}

export function below(prefix: string): object {
  return { path: { type: 'PathPrefix', value: prefix } };
}

export function exactly(path: string): object {
  return { path: { type: 'Exact', value: path } };
}

export function requestHeaders(edits: object): object {
  return { type: 'RequestHeaderModifier', requestHeaderModifier: edits };
}

export function setOnReply(name: string, value: string): object {
  return { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name, value }] } };
}

export function redirect(to: object): object {
  return { type: 'RequestRedirect', requestRedirect: to };
}

export function rewrite(path: object): object {
  return { type: 'URLRewrite', urlRewrite: { path } };
}

export function pairs(values: Readonly<Record<string, string>>): readonly object[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
