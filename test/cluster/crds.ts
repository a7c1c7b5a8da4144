import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { crdFiles } from '../servers/crds.ts';
import type { Box } from './box.ts';

/** Environment variable with the folder of test/servers/crds.ts. */
export const CRDS_VARIABLE = 'HEDDLE_BOX_CRDS';

export const SMI_VERSIONS = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] as const;
export type SmiVersion = (typeof SMI_VERSIONS)[number];

/** The kinds of SMI that say where requests go; those of its other groups concern nobody here. */
const SMI_KINDS = ['trafficsplits.split.smi-spec.io', 'httproutegroups.specs.smi-spec.io'];
const GATEWAY_KINDS = ['httproutes', 'grpcroutes', 'referencegrants'].map(
  (kind) => `${kind}.gateway.networking.k8s.io`,
);

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: object;
    readonly validation: { readonly openAPIV3Schema: { readonly properties: { readonly spec: object } } };
  };
}

/** The routes of Gateway API as it publishes them; the channels replace each other. */
export async function installGatewayApi(box: Box, channel: 'standard' | 'experimental' = 'standard'): Promise<void> {
  const files = crdFiles(folder(), `gateway-api-${channel}`);
  // Larger than the annotation in which a client keeps what it applied.
  await box.kubectl(['apply', '--server-side', ...files.map((file) => `--filename=${file}`)]);
  await established(box, GATEWAY_KINDS);
}

export async function removeGatewayApi(box: Box): Promise<void> {
  await box.kubectl(['delete', 'crd', ...GATEWAY_KINDS, '--timeout=90s']);
}

/**
 * The routes of SMI in some of their versions. Nothing converts between them, and each is served as it was written in another: so do
 * the meshes that still bring them.
 */
export async function installSmi(box: Box, served: readonly SmiVersion[] = SMI_VERSIONS): Promise<void> {
  const definitions = crdFiles(folder(), 'smi')
    .flatMap((file) => parseAllDocuments(readFileSync(file, 'utf8')))
    .map((document) => document.toJS() as Definition)
    .filter(({ metadata }) => SMI_KINDS.includes(metadata.name))
    .map((definition) => asServedNow(definition, served));
  await box.apply(definitions);
  await established(box, SMI_KINDS);
}

export async function removeSmi(box: Box): Promise<void> {
  await box.kubectl(['delete', 'crd', ...SMI_KINDS, '--timeout=90s']);
}

/** In apiextensions.k8s.io/v1: since Kubernetes 1.22 nobody serves v1beta1, in which SMI left them. */
function asServedNow({ metadata, spec }: Definition, served: readonly SmiVersion[]): object {
  const versions = SMI_VERSIONS.map((name) => ({
    name,
    served: served.includes(name),
    storage: name === 'v1alpha4',
    schema: { openAPIV3Schema: schemaOf(spec.validation.openAPIV3Schema.properties.spec, name) },
  }));
  const { group, scope, names } = spec;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: metadata.name },
    spec: { group, scope, names, versions },
  };
}

/** What is published is that of v1alpha4, where weights are numbers and matches are in the spec. */
function schemaOf(spec: object, version: SmiVersion): object {
  const properties = version === 'v1alpha1' ? {} : { spec: { ...spec, type: 'object' } };
  return { 'type': 'object', properties, 'x-kubernetes-preserve-unknown-fields': true };
}

async function established(box: Box, kinds: readonly string[]): Promise<void> {
  const definitions = kinds.map((kind) => `crd/${kind}`);
  await box.kubectl(['wait', '--for=condition=Established', ...definitions, '--timeout=60s']);
}

function folder(): string {
  const found = process.env[CRDS_VARIABLE];
  if (!found) throw new Error('Expected to be run by npm run cluster, got no CustomResourceDefinitions');
  return found;
}
