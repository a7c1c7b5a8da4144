import { Ajv, type ErrorObject } from 'ajv';
import { Type, type TSchema } from 'typebox';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { memberPath } from '../../lib/field-path.ts';
import { MISMATCHES_MAX, SERVICE_LABEL } from './objects.ts';

// Kubernetes' own rules for the fields that are read; each description is what a problem names as expected.
const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const namespace = Type.String({
  pattern: `^${LABEL}$`,
  description: 'a namespace (RFC 1123 label: at most 63 of a-z, 0-9 and -)',
});
const serviceName = Type.String({
  pattern: '^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$',
  description: 'a Service name (RFC 1035 label: at most 63 of a-z, 0-9 and -, a letter first)',
});
const objectName = Type.String({
  pattern: `^(?=.{1,253}$)${SUBDOMAIN}$`,
  description: 'a name (RFC 1123 subdomain: at most 253 of a-z, 0-9, - and .)',
});
const zoneName = Type.String({
  pattern: '^([A-Za-z0-9]([-\\w.]{0,61}[A-Za-z0-9])?)?$',
  description: 'a zone (at most 63 of A-Z, a-z, 0-9, -, _ and .)',
});
const hinted = (what: string, name: TSchema) =>
  Type.Optional(
    Type.Array(Type.Object({ name }, { description: 'an object with a name' }), {
      maxItems: 8,
      description: `a list of at most 8 ${what}`,
    }),
  );
const portName = (description: string) => Type.String({ pattern: `^(${LABEL})?$`, description });
const oneOf = (values: readonly string[], description: string) =>
  Type.Unsafe<string>({ type: 'string', enum: values, description });
const protocol = Type.Optional(oneOf(['TCP', 'UDP', 'SCTP'], 'TCP, UDP or SCTP'));
const portNumber = Type.Integer({ minimum: 1, maximum: 65535, description: 'a port number from 1 to 65535' });
const flag = Type.Optional(Type.Boolean({ description: 'true or false' }));
// Annotations are read one by one: a bad one must not cost the object.
const annotations = Type.Optional(Type.Object({}, { description: 'annotations, "name: value"' }));

export const serviceSchema = Type.Object(
  {
    metadata: Type.Object(
      { name: serviceName, namespace: Type.Optional(namespace), annotations },
      { description: 'metadata with a name' },
    ),
    spec: Type.Object(
      {
        type: Type.Optional(
          oneOf(
            ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'],
            'ClusterIP, NodePort, LoadBalancer or ExternalName',
          ),
        ),
        externalName: Type.Optional(
          Type.String({ pattern: `^(?=.{1,254}$)${SUBDOMAIN}\\.?$`, description: 'a DNS name' }),
        ),
        clusterIP: Type.Optional(Type.String({ description: 'an IP address or None' })),
        clusterIPs: Type.Optional(
          Type.Array(Type.String({ description: 'an IP address or None' }), {
            maxItems: 2,
            description: 'at most two IP addresses',
          }),
        ),
        ipFamilies: Type.Optional(
          Type.Array(oneOf(['IPv4', 'IPv6'], 'IPv4 or IPv6'), {
            maxItems: 2,
            description: 'a list of at most two of IPv4 and IPv6',
          }),
        ),
        publishNotReadyAddresses: flag,
        internalTrafficPolicy: Type.Optional(oneOf(['Cluster', 'Local'], 'Cluster or Local')),
        sessionAffinity: Type.Optional(oneOf(['None', 'ClientIP'], 'None or ClientIP')),
        // Kubernetes grows new values, of which the older ones are told apart later.
        trafficDistribution: Type.Optional(
          Type.String({ pattern: '^[A-Za-z]{0,63}$', description: 'a preference such as PreferSameNode' }),
        ),
        ports: Type.Optional(
          Type.Array(
            Type.Object(
              {
                name: Type.Optional(portName('a port name (RFC 1123 label: at most 63 of a-z, 0-9 and -)')),
                port: portNumber,
                protocol,
                targetPort: Type.Optional(
                  Type.Unsafe<number | string>({
                    type: ['integer', 'string'],
                    minimum: 1,
                    maximum: 65535,
                    // RFC 6335, 5.1: at most 15 characters, one of them a letter, no hyphen at an end or beside another.
                    pattern: '^(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
                    description: 'a port number from 1 to 65535 or the name of a container port',
                  }),
                ),
                appProtocol: Type.Optional(
                  Type.String({
                    pattern: `^(?=.{1,317}$)(${SUBDOMAIN}/)?[A-Za-z0-9]([-\\w.]{0,61}[A-Za-z0-9])?$`,
                    description: 'an application protocol such as http or kubernetes.io/h2c',
                  }),
                ),
              },
              { description: 'a port' },
            ),
            { maxItems: 1000, description: 'a list of at most 1000 ports' },
          ),
        ),
      },
      { description: 'the spec of a Service' },
    ),
  },
  { description: 'a Service' },
);

export const endpointSliceSchema = Type.Object(
  {
    metadata: Type.Object(
      {
        name: objectName,
        namespace: Type.Optional(namespace),
        labels: Type.Object({ [SERVICE_LABEL]: serviceName }, { description: `labels with ${SERVICE_LABEL}` }),
      },
      { description: 'metadata with a name and labels' },
    ),
    addressType: oneOf(['IPv4', 'IPv6'], 'IPv4 or IPv6'),
    ports: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.Optional(portName('the name of a Service port')), port: portNumber, protocol },
          { description: 'a port' },
        ),
        { maxItems: 100, description: 'a list of at most 100 ports' },
      ),
    ),
    endpoints: Type.Optional(
      Type.Array(
        Type.Object(
          {
            addresses: Type.Array(Type.String({ description: 'an IP address' }), {
              minItems: 1,
              maxItems: 100,
              description: 'a list of 1 to 100 IP addresses',
            }),
            conditions: Type.Optional(
              Type.Object({ ready: flag, serving: flag, terminating: flag }, { description: 'conditions' }),
            ),
            nodeName: Type.Optional(objectName),
            zone: Type.Optional(zoneName),
            hints: Type.Optional(
              Type.Object(
                { forNodes: hinted('nodes', objectName), forZones: hinted('zones', zoneName) },
                {
                  description: 'hints',
                },
              ),
            ),
          },
          { description: 'an endpoint' },
        ),
        { maxItems: 1000, description: 'a list of at most 1000 endpoints' },
      ),
    ),
  },
  { description: 'an EndpointSlice' },
);

export const namespaceSchema = Type.Object(
  { metadata: Type.Object({ name: namespace, annotations }, { description: 'metadata with a name' }) },
  { description: 'a Namespace' },
);

/** Of kinds that definitions bring, only what an API server checks for all; the rest is checked wherever they come from. */
export function named(description: string): TSchema {
  const metadata = Type.Object(
    { name: objectName, namespace: Type.Optional(namespace) },
    { description: 'metadata with a name' },
  );
  return Type.Object({ metadata }, { description });
}

export const natsPolicySchema = Type.Object(
  { metadata: Type.Object({ name: objectName }, { description: 'metadata with a name' }) },
  { description: 'a NatsPolicy' },
);

const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true });

/** A function that says what is wrong with the shape of a value. */
export function shape(schema: TSchema): (value: unknown) => readonly Mismatch[] {
  const validate = ajv.compile(schema);
  return (raw) => {
    const value = withoutNulls(raw);
    if (validate(value)) return [];
    const mismatches = (validate.errors ?? []).slice(0, MISMATCHES_MAX).map((error) => mismatchOf(error, value));
    // A value that breaks two rules of its field (length and letters) is one mismatch.
    return mismatches.filter(({ field }, index) => mismatches.findIndex((other) => other.field === field) === index);
  };
}

/** The API server takes null for absent, and so do we: kubectl prints `endpoints: null`. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const object = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) if (member !== null) object[key] = withoutNulls(member);
  return object;
}

function mismatchOf({ keyword, instancePath, params, parentSchema, data }: ErrorObject, root: unknown): Mismatch {
  const field = fieldPath(instancePath, root);
  if (keyword === 'required') {
    const missing = (params as { missingProperty: string }).missingProperty;
    return {
      field: memberPath(field, missing),
      expected: descriptionOf(parentSchema?.['properties']?.[missing]),
      got: shown(undefined),
    };
  }
  const got = Array.isArray(data) ? `a list of ${data.length}` : shown(data);
  return { field, expected: descriptionOf(parentSchema), got };
}

function descriptionOf(schema: unknown): string {
  return (schema as { description: string }).description;
}

/** A JSON pointer (RFC 6901) in the style of problems: `/spec/ports/0/port` is `spec.ports[0].port`. */
function fieldPath(pointer: string, root: unknown): string {
  let path = '';
  let value = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path = Array.isArray(value) ? `${path}[${key}]` : memberPath(path, key);
    value = (value as Record<string, unknown>)[key];
  }
  return path;
}
