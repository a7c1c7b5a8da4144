/** The definitions of our own kinds: they let in what Heddle reads, and keep out what it would refuse. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { kindsOf } from '../../src/control/discovery/kubernetes/kinds.ts';
import { natsPolicyOf, subscriptionOf } from '../../src/control/discovery/message-objects.ts';
import type { Trimmed } from '../../src/control/discovery/objects.ts';
import { type KubernetesObject, manifestText, objectsOf } from './manifest.ts';

interface Definition extends KubernetesObject {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly [
      { readonly name: string; readonly schema: { readonly openAPIV3Schema: Readonly<Record<string, unknown>> } },
    ];
  };
}

const definitions = objectsOf(manifestText()).filter(({ kind }) => kind === 'CustomResourceDefinition') as Definition[];
// Keywords of Kubernetes' own say nothing to it.
const ajv = new Ajv({ strict: false });

const SUBSCRIPTIONS: readonly (readonly [means: string, spec: string])[] = [
  ['the least', '{source: {subjects: [orders.created]}, deliver: {serviceRef: {name: billing}}}'],
  [
    'all that is obeyed',
    `source: {connection: default, stream: ORDERS, subjects: [orders.created, "stock.*.>"], mode: jetstream, from: all}
deliver:
  serviceRef: {name: billing, port: 8080}
  path: "/events/{subject[1]}"
  contentMode: structured
  timeout: 1m30s
  concurrency: {perEndpoint: 1024}
filters: [{exact: {type: order.created}}, {prefix: {subject: eu-}}]
retry: {maxAttempts: 0, base: 500ms, cap: 1h}
deadLetter: {subject: dlq.orders}
pause: false`,
  ],
];
const BAD_SUBSCRIPTIONS: typeof SUBSCRIPTIONS = [
  ['no subjects', '{source: {subjects: []}, deliver: {serviceRef: {name: billing}}}'],
  ['no Service', '{source: {subjects: [a]}, deliver: {}}'],
  ['another mode', '{source: {subjects: [a], mode: fast}, deliver: {serviceRef: {name: billing}}}'],
  [
    'no concurrency',
    '{source: {subjects: [a]}, deliver: {serviceRef: {name: billing}, concurrency: {perEndpoint: 0}}}',
  ],
  ['a dead letter without subject', '{source: {subjects: [a]}, deliver: {serviceRef: {name: b}}, deadLetter: {}}'],
];
const POLICIES: typeof SUBSCRIPTIONS = [
  ['for everybody', '{from: [{}], publish: {allow: ["demo.>"]}}'],
  [
    'all that is obeyed',
    `from: [{namespaces: [shop], podLabels: {app: web}, addresses: [10.0.0.0/8, "fd00::/8", 10.1.2.3]}]
publish: {allow: ["orders.>"], deny: ["orders.admin.>"]}
request: {allow: ["svc.>"]}
subscribe: {allow: [orders.*.status, ">"]}
streams: {read: [ORDERS, "*"]}
consumers: {pull: [ORDERS/mine, "LOGS/*"]}
kv: {carts: rw, prices: r}
maxPayload: 256KiB
rate: 500/s
headers: [Nats-TTL]`,
  ],
];
const BAD_POLICIES: typeof SUBSCRIPTIONS = [
  ['rules that are no object', '{from: [{}], publish: ["demo.>"]}'],
  ['a rule that is no list', '{from: [{}], publish: {deny: demo}}'],
  ['a source that is no object', '{from: [shop]}'],
];
/** What the definition refuses, and Heddle as a value that means nothing, not as a shape. */
const ONLY_THE_DEFINITION: readonly (readonly [kind: string, spec: string])[] = [
  ['Subscription', '{source: {subjects: ["a b"]}, deliver: {serviceRef: {name: billing}}}'],
  ['Subscription', '{source: {subjects: [a..b]}, deliver: {serviceRef: {name: billing}}}'],
  ['Subscription', '{source: {subjects: ["a.>.b"]}, deliver: {serviceRef: {name: billing}}}'],
  ['Subscription', '{source: {subjects: [a]}, deliver: {serviceRef: {name: b}}, deadLetter: {subject: "dlq.*"}}'],
  ['NatsPolicy', '{from: []}'],
  ['NatsPolicy', '{from: [{}], maxPayload: 256Ki}'],
  ['NatsPolicy', '{from: [{}], kv: {carts: w}}'],
];

function definitionOf(kind: string): Definition {
  return definitions.find(({ spec }) => spec.names.kind === kind) ?? assert.fail(`No definition of ${kind}`);
}

function validates(kind: string, spec: string): boolean {
  const { openAPIV3Schema } = definitionOf(kind).spec.versions[0].schema;
  return ajv.validate(openAPIV3Schema, { metadata: { name: 'x' }, spec: parse(spec) as unknown });
}

for (const [kind, trim, good, bad] of [
  ['Subscription', subscriptionOf, SUBSCRIPTIONS, BAD_SUBSCRIPTIONS],
  ['NatsPolicy', natsPolicyOf, POLICIES, BAD_POLICIES],
] as const) {
  const read = (spec: string): Trimmed<unknown> => trim({ metadata: { name: 'x' }, spec: parse(spec) as unknown });

  describe(`the definition of ${kind}`, () => {
    test('is that of the path that discovery follows', () => {
      const { group, names, versions } = definitionOf(kind).spec;
      const paths = Object.values(kindsOf('n1')).flatMap((one): readonly string[] => one.paths);
      assert.ok(paths.includes(`/apis/${group}/${versions[0].name}/${names.plural}`));
    });

    for (const [means, spec] of good) {
      test(`lets in what Heddle reads: ${means}`, () => {
        assert.ok(validates(kind, spec), ajv.errorsText());
        assert.deepEqual(read(spec).mismatches, []);
      });
    }

    for (const [means, spec] of bad) {
      test(`keeps out what Heddle refuses: ${means}`, () => {
        assert.equal(validates(kind, spec), false);
        assert.notEqual(read(spec).mismatches.length, 0);
      });
    }
  });
}

test('the definitions keep out values that mean nothing', () => {
  for (const [kind, spec] of ONLY_THE_DEFINITION) assert.equal(validates(kind, spec), false, spec);
});

test('only the cluster grants: policies stand in no namespace', () => {
  assert.deepEqual(
    [definitionOf('NatsPolicy').spec.scope, definitionOf('Subscription').spec.scope],
    ['Cluster', 'Namespaced'],
  );
});
