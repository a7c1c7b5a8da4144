/** What a route has that a description of it is made of. */
interface Described {
  /** With its parameters in braces: `/v1/publish/{subject}`. */
  readonly path: string;
  readonly method: string;
}

/** The Paths Object of OpenAPI 3.1: each route below its path, under its method. */
export function openApiPaths<R extends Described>(
  routes: readonly R[],
  operationOf: (route: R) => object,
): Readonly<Record<string, Readonly<Record<string, object>>>> {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  return paths;
}
