import { type Case, type Expected, below, pairs, requestHeaders, rewrite, route } from './case.ts';

type Edits = Readonly<Record<string, object>>;

/** What each path does to the headers. */
const EDITS: Edits = {
  '/set': { set: pairs({ 'X-Header-Set': 'set-overwrites-values' }) },
  '/add': { add: pairs({ 'X-Header-Add': 'add-appends-values' }) },
  '/remove': { remove: ['X-Header-Remove'] },
  '/multiple': {
    set: pairs({ 'X-Header-Set-1': 'header-set-1', 'X-Header-Set-2': 'header-set-2' }),
    add: pairs({
      'X-Header-Add-1': 'header-add-1',
      'X-Header-Add-2': 'header-add-2',
      'X-Header-Add-3': 'header-add-3',
    }),
    remove: ['X-Header-Remove-1', 'X-Header-Remove-2'],
  },
  '/case-insensitivity': {
    set: pairs({ 'X-Header-Set': 'header-set' }),
    add: pairs({ 'X-Header-Add': 'header-add' }),
    remove: ['X-Header-Remove'],
  },
};

function edited(
  path: string,
  sent: Readonly<Record<string, string>>,
  seen: Readonly<Record<string, string | undefined>>,
): Expected {
  return { request: { path, headers: sent }, backend: 'echo-v1', seen: { path, headers: seen } };
}

const OTHER = { 'some-other-header': 'val' };
const ANOTHER = { 'another-header': 'another-header-val' };
const EDITED: readonly Expected[] = [
  edited('/set', OTHER, { ...OTHER, 'x-header-set': 'set-overwrites-values' }),
  edited(
    '/set',
    { ...OTHER, 'X-Header-Set': 'some-other-value' },
    { ...OTHER, 'x-header-set': 'set-overwrites-values' },
  ),
  edited('/add', OTHER, { ...OTHER, 'x-header-add': 'add-appends-values' }),
  edited(
    '/add',
    { ...OTHER, 'X-Header-Add': 'some-other-value' },
    { ...OTHER, 'x-header-add': 'some-other-value,add-appends-values' },
  ),
  edited('/remove', { 'X-Header-Remove': 'val' }, { 'x-header-remove': undefined }),
  edited(
    '/multiple',
    {
      ...ANOTHER,
      'X-Header-Set-2': 'set-val-2',
      'X-Header-Add-2': 'add-val-2',
      'X-Header-Remove-2': 'remove-val-2',
    },
    {
      ...ANOTHER,
      'x-header-set-1': 'header-set-1',
      'x-header-set-2': 'header-set-2',
      'x-header-add-1': 'header-add-1',
      'x-header-add-2': 'add-val-2,header-add-2',
      'x-header-add-3': 'header-add-3',
      'x-header-remove-1': undefined,
      'x-header-remove-2': undefined,
    },
  ),
  edited(
    '/case-insensitivity',
    {
      ...ANOTHER,
      'x-header-set': 'original-val-set',
      'x-header-add': 'original-val-add',
      'x-header-remove': 'original-val-remove',
    },
    {
      ...ANOTHER,
      'x-header-set': 'header-set',
      'x-header-add': 'original-val-add,header-add',
      'x-header-remove': undefined,
    },
  ),
];

const REWRITTEN_EDITS = requestHeaders({
  set: pairs({ 'X-Header-Set': 'set-overwrites-values' }),
  add: pairs({ 'X-Header-Add': 'header-val-1', 'X-Header-Add-Append': 'header-val-2' }),
  remove: ['X-Header-Remove'],
});

function rewritten(path: string, seen: string): Expected {
  return { request: { path }, backend: 'echo-v1', seen: { path: seen } };
}

function rewrittenAndEdited(path: string, seen: string): Expected {
  const headers = {
    'X-Header-Remove': 'remove-val',
    'X-Header-Add-Append': 'append-val-1',
    'X-Header-Set': 'set-val',
  };
  return {
    request: { path, headers },
    backend: 'echo-v1',
    seen: {
      path: seen,
      headers: {
        'x-header-add': 'header-val-1',
        'x-header-add-append': 'append-val-1,header-val-2',
        'x-header-set': 'set-overwrites-values',
        'x-header-remove': undefined,
      },
    },
  };
}

/** Cases about what the backend sees. */
export function headerCases(parent: { readonly service: string; readonly port: number }): readonly Case[] {
  const backend = { name: 'echo-v1', port: 8080 };
  const ofRules = Object.entries(EDITS).map(([path, edits]) => ({
    matches: [below(path)],
    filters: [requestHeaders(edits)],
    backendRefs: [backend],
  }));
  const ofBackends = Object.entries(EDITS).map(([path, edits]) => ({
    matches: [below(path)],
    backendRefs: [{ ...backend, filters: [requestHeaders(edits)] }],
  }));
  const rewriting = (path: string, to: object, ...filters: readonly object[]): object => ({
    matches: [below(path)],
    filters: [rewrite(to), ...filters],
    backendRefs: [{ name: 'echo-v1', port: 80 }],
  });
  const prefix = (by: string): object => ({ type: 'ReplacePrefixMatch', replacePrefixMatch: by });
  const full = (by: string): object => ({ type: 'ReplaceFullPath', replaceFullPath: by });
  return [
    {
      name: 'MeshHTTPRouteRequestHeaderModifier',
      routes: [route('request-headers', parent, ofRules)],
      exchanges: EDITED,
    },
    {
      name: 'MeshHTTPRouteBackendRequestHeaderModifier',
      routes: [route('request-headers-of-backends', parent, ofBackends)],
      exchanges: EDITED,
    },
    {
      name: 'MeshHTTPRouteRewritePath',
      routes: [
        route('rewrite', parent, [
          rewriting('/prefix/one', prefix('/one')),
          rewriting('/strip-prefix', prefix('/')),
          rewriting('/full/one', full('/one')),
          rewriting('/full/rewrite-path-and-modify-headers', full('/test'), REWRITTEN_EDITS),
          rewriting('/prefix/rewrite-path-and-modify-headers', prefix('/prefix'), REWRITTEN_EDITS),
        ]),
      ],
      exchanges: [
        rewritten('/prefix/one/two', '/one/two'),
        rewritten('/strip-prefix/three', '/three'),
        rewritten('/strip-prefix', '/'),
        rewritten('/full/one/two', '/one'),
        rewrittenAndEdited('/full/rewrite-path-and-modify-headers/test', '/test'),
        rewrittenAndEdited('/prefix/rewrite-path-and-modify-headers/one', '/prefix/one'),
      ],
    },
  ];
}
