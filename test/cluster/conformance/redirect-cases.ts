import { type Case, below, redirect, route } from './case.ts';

/** A path, where it leads to, and the status and the place that the client is told. */
type Redirection = readonly [path: string, to: object, status: number, location: string, request?: string];

const HOST = { hostname: 'example.org' };
const HTTPS = { scheme: 'https' };
const PORT = { port: 8083 };

function prefix(by: string): object {
  return { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: by } };
}

function full(by: string): object {
  return { path: { type: 'ReplaceFullPath', replaceFullPath: by } };
}

const REDIRECTIONS: Readonly<Record<string, readonly Redirection[]>> = {
  MeshHTTPRouteRedirectHostAndStatus: [
    ['/hostname-redirect', HOST, 302, 'http://example.org/hostname-redirect'],
    ['/host-and-status', { ...HOST, statusCode: 301 }, 301, 'http://example.org/host-and-status'],
  ],
  MeshHTTPRouteSchemeRedirect: [
    ['/scheme', HTTPS, 302, 'https://echo/scheme'],
    ['/scheme-and-host', { ...HTTPS, ...HOST }, 302, 'https://example.org/scheme-and-host'],
    ['/scheme-and-status', { ...HTTPS, statusCode: 301 }, 301, 'https://echo/scheme-and-status'],
    [
      '/scheme-and-host-and-status',
      { ...HTTPS, ...HOST, statusCode: 302 },
      302,
      'https://example.org/scheme-and-host-and-status',
    ],
  ],
  MeshHTTPRouteRedirectPort: [
    ['/port', PORT, 302, 'http://echo:8083/port'],
    ['/port-and-host', { ...PORT, ...HOST }, 302, 'http://example.org:8083/port-and-host'],
    ['/port-and-status', { ...PORT, statusCode: 301 }, 301, 'http://echo:8083/port-and-status'],
    [
      '/port-and-host-and-status',
      { ...PORT, ...HOST, statusCode: 302 },
      302,
      'http://example.org:8083/port-and-host-and-status',
    ],
  ],
  MeshHTTPRouteRedirectPath: [
    [
      '/original-prefix',
      prefix('/replacement-prefix'),
      302,
      'http://echo/replacement-prefix/lemon',
      '/original-prefix/lemon',
    ],
    ['/full', full('/full-path-replacement'), 302, 'http://echo/full-path-replacement', '/full/path/original'],
    ['/path-and-host', { ...HOST, ...prefix('/replacement-prefix') }, 302, 'http://example.org/replacement-prefix'],
    ['/path-and-status', { ...prefix('/replacement-prefix'), statusCode: 301 }, 301, 'http://echo/replacement-prefix'],
    ['/full-path-and-host', { ...HOST, ...full('/replacement-full') }, 302, 'http://example.org/replacement-full'],
    ['/full-path-and-status', { ...full('/replacement-full'), statusCode: 301 }, 301, 'http://echo/replacement-full'],
  ],
  MeshHTTPRoute303Redirect: [['/redirect', { statusCode: 303 }, 303, 'http://echo/redirect']],
  MeshHTTPRoute307Redirect: [['/temporary', { statusCode: 307 }, 307, 'http://echo/temporary']],
  MeshHTTPRoute308Redirect: [['/permanent', { statusCode: 308 }, 308, 'http://echo/permanent']],
};

/** Cases about where the client is sent. */
export function redirectCases(parent: { readonly service: string; readonly port: number }): readonly Case[] {
  return Object.entries(REDIRECTIONS).map(([name, redirections]) => ({
    name,
    routes: [
      route(
        'redirect',
        parent,
        redirections.map(([path, to]) => ({ matches: [below(path)], filters: [redirect(to)] })),
      ),
    ],
    exchanges: redirections.map(([path, , status, location, request = path]) => ({
      request: { path: request },
      status,
      headers: { location },
    })),
  }));
}
