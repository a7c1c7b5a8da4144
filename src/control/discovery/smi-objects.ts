import type { Mismatch } from '../../model/problem.ts';
import type { HttpRouteGroupResource, TrafficSplitResource } from '../../model/route-resource.ts';
import { Fields, trimmed, type UncheckedObject } from './fields.ts';
import { createdOf } from './gateway-objects.ts';
import type { Trimmed } from './objects.ts';

// Servers convert none of the versions of SMI: an object has the shape of the version under which it was written, whatever the
// one says under which it is read. So all shapes are taken under all versions. The definitions have no limits; these are ours.

const BACKENDS_MAX = 256;
const MATCHES_MAX = 256;
const METHODS_MAX = 32;
const HEADERS_MAX = 64;
const NAME_MAX = 253;
const METHOD_MAX = 63;
const REGEX_MAX = 4096;

const NAME = `a name of at most ${NAME_MAX} characters`;
const SERVICE = 'the name of a Service';
const REGEX = `a regular expression of at most ${REGEX_MAX} characters`;

/** Of a TrafficSplit, what Heddle reads. */
export function trafficSplitOf({ metadata, spec: value }: UncheckedObject): Trimmed<TrafficSplitResource> {
  const mismatches: Mismatch[] = [];
  const told: Mismatch[] = [];
  const spec = new Fields(value, 'spec', mismatches, told);
  spec.known(['service', 'matches', 'backends']);
  const resource: TrafficSplitResource = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    created: createdOf(metadata),
    service: spec.requiredText('service', SERVICE, NAME_MAX),
    matches: spec.each('matches', MATCHES_MAX).map((match) => {
      match.known(['apiGroup', 'kind', 'name']);
      return {
        kind: match.requiredText('kind', 'a kind', NAME_MAX),
        name: match.requiredText('name', NAME, NAME_MAX),
      };
    }),
    backends: spec.each('backends', BACKENDS_MAX).map((backend) => {
      backend.known(['service', 'weight']);
      return { service: backend.requiredText('service', SERVICE, NAME_MAX), weight: weightOf(backend) };
    }),
  };
  return trimmed(resource, mismatches, told);
}

function weightOf(backend: Fields): number {
  const value = backend.raw('weight');
  const weight = typeof value === 'string' ? quantity(value) : value;
  if (typeof weight === 'number' && weight >= 0 && weight <= Number.MAX_SAFE_INTEGER) return weight;
  backend.mismatch('weight', 'a number such as 90, or a quantity such as 900m', value);
  return 0;
}

const QUANTITY = /^\+?(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:([numkMGTPE])|([KMGTPE])i|[eE]([+-]?\d{1,2}))?$/;
const TENS = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 } as const;

/** A quantity of Kubernetes that is not negative (resource.Quantity): `1`, `900m`, `1.5k`, `1e3`. Undefined: it is none. */
function quantity(text: string): number | undefined {
  const [, digits, tens, twos, exponent = 0] = QUANTITY.exec(text) ?? [];
  if (digits === undefined) return undefined;
  if (twos !== undefined) return Number(digits) * 1024 ** ('KMGTPE'.indexOf(twos) + 1);
  // By its text: 900m is 0.9, and not what is nearest to 900 times what is nearest to a thousandth.
  return Number(`${digits}e${tens === undefined ? exponent : TENS[tens as keyof typeof TENS]}`);
}

/** Of an HTTPRouteGroup, what Heddle reads. Until v1alpha2 the matches stand at the top. */
export function httpRouteGroupOf(object: UncheckedObject): Trimmed<HttpRouteGroupResource> {
  const { metadata, spec: value } = object;
  const mismatches: Mismatch[] = [];
  const told: Mismatch[] = [];
  const spec = new Fields(value, 'spec', mismatches, told);
  spec.known(['matches']);
  const holder = spec.has('matches') ? spec : new Fields(object, '', mismatches, told);
  const resource: HttpRouteGroupResource = {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    field: holder === spec ? 'spec.matches' : 'matches',
    matches: holder.each('matches', MATCHES_MAX).map((match) => matchOf(match)),
  };
  return trimmed(resource, mismatches, told);
}

/** Without a field that is not known it would fit more than is meant. */
function matchOf(match: Fields): HttpRouteGroupResource['matches'][number] {
  match.only(['name', 'pathRegex', 'methods', 'headers']);
  return {
    name: match.requiredText('name', NAME, NAME_MAX),
    pathRegex: match.text('pathRegex', REGEX, REGEX_MAX),
    methods: match.texts('methods', METHODS_MAX, 'a method', METHOD_MAX),
    headers: headersOf(match),
  };
}

/** The types of SMI have an object of names, its definitions a list of such objects. */
function headersOf(match: Fields): Readonly<Record<string, string>> {
  if (!Array.isArray(match.raw('headers'))) return match.texted('headers', HEADERS_MAX, REGEX, REGEX_MAX);
  const parts = match.eachTexted('headers', HEADERS_MAX, REGEX, REGEX_MAX);
  const headers = parts.flatMap((part) => Object.entries(part));
  const names = new Set(headers.map(([name]) => name));
  if (names.size > HEADERS_MAX) match.mismatch('headers', `at most ${HEADERS_MAX} headers`, names.size);
  if (names.size < headers.length) match.mismatch('headers', 'each header once', 'one again');
  return Object.fromEntries(headers);
}
