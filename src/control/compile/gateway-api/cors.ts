import { shown } from '../../../lib/shown.ts';
import type { CorsFilter } from '../../../model/route-resource.ts';
import type { CorsPolicy } from '../../../model/routing.ts';
import { isFieldName } from '../header-rules.ts';
import type { Findings } from './findings.ts';

/** CORSOrigin of Gateway API: a star stands for a whole host, or for the labels to the left of a dot. */
const ORIGIN = /^(https?):\/\/((?:\*\.)?(?:[a-z\d-]+\.)*[a-z\d-]+|\*)(?::(\d{1,5}))?$/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };

/** Fetch standard, CORS protocol. */
export function corsOf(
  { allowOrigins, allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge }: CorsFilter,
  field: string,
  findings: Findings,
): CorsPolicy {
  if (!Number.isInteger(maxAge) || maxAge < 1) {
    findings.refuse(`${field}.maxAge`, { expected: 'one second or more', got: shown(maxAge) });
  }
  const names = { expected: 'names of headers, or * alone', isFine: isFieldName };
  return {
    origins: listOf(allowOrigins, `${field}.allowOrigins`, findings, {
      expected: 'origins such as https://shop.example, https://*.shop.example:8443, or * alone',
      isFine: isOrigin,
    }).map(asSent),
    methods: listOf(allowMethods, `${field}.allowMethods`, findings, {
      expected: 'names of methods, or * alone',
      isFine: isFieldName,
    }),
    headers: listOf(allowHeaders, `${field}.allowHeaders`, findings, names),
    // The API allows a star among names here: it means all of them.
    exposed: listOf(exposeHeaders.includes('*') ? ['*'] : exposeHeaders, `${field}.exposeHeaders`, findings, names),
    maxAgeS: maxAge,
    credentials: allowCredentials,
  };
}

interface ItemRule {
  readonly expected: string;
  readonly isFine: (item: string) => boolean;
}

function listOf(items: readonly string[], at: string, findings: Findings, rule: ItemRule): readonly string[] {
  for (const [index, item] of items.entries()) {
    const isFine = item === '*' ? items.length === 1 : rule.isFine(item);
    if (!isFine) findings.refuse(`${at}[${index}]`, { expected: rule.expected, got: shown(item) });
  }
  return items;
}

function isOrigin(text: string): boolean {
  const [, , , port] = ORIGIN.exec(text.toLowerCase()) ?? [];
  return ORIGIN.test(text.toLowerCase()) && (port === undefined || (Number(port) >= 1 && Number(port) <= 65_535));
}

/** As browsers send it: small letters, and no port that the scheme says (Fetch standard, serialising an origin). */
function asSent(origin: string): string {
  const lower = origin.toLowerCase();
  const [, scheme = '', host, port] = ORIGIN.exec(lower) ?? [];
  return port === undefined || port !== DEFAULT_PORTS[scheme] ? lower : `${scheme}://${host}`;
}
