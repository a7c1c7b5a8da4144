import { Ajv, type ErrorObject } from 'ajv';
import { Type, type Static, type TSchema } from 'typebox';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { memberPath } from './located.ts';

/** Kubernetes' limit for all annotations of one object together. */
export const ANNOTATION_BYTES_MAX = 256 * 1024;
/** Of one object; an object without end must not make problems without end. */
export const MISMATCHES_MAX = 20;

// Kubernetes' own rules for the fields that are read; each description is what a problem names as expected.
const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const namespace = Type.String({
  pattern: `^${LABEL}$`,
  description: 'a namespace (RFC 1123 label: at most 63 of a-z, 0-9 and -)',
});
const serviceName = Type.String({
  pattern: '^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$',
  description: 'a Service name (RFC 1035 label: at most 63 of a-z, 0-9 and -, a letter first)',
});
const portName = (description: string) => Type.String({ pattern: `^(${LABEL})?$`, description });
const protocol = Type.Optional(
  Type.Unsafe<'TCP' | 'UDP' | 'SCTP'>({
    type: 'string',
    enum: ['TCP', 'UDP', 'SCTP'],
    description: 'TCP, UDP or SCTP',
  }),
);
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
          Type.Unsafe<'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'>({
            type: 'string',
            enum: ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'],
            description: 'ClusterIP, NodePort, LoadBalancer or ExternalName',
          }),
        ),
        clusterIP: Type.Optional(Type.String({ description: 'an IP address or None' })),
        clusterIPs: Type.Optional(
          Type.Array(Type.String({ description: 'an IP address or None' }), {
            maxItems: 2,
            description: 'at most two IP addresses',
          }),
        ),
        publishNotReadyAddresses: flag,
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
        name: Type.String({
          pattern: `^(?=.{1,253}$)${LABEL}(\\.${LABEL})*$`,
          description: 'a name (RFC 1123 subdomain: at most 253 of a-z, 0-9, - and .)',
        }),
        namespace: Type.Optional(namespace),
        labels: Type.Object(
          { 'kubernetes.io/service-name': serviceName },
          { description: 'labels with kubernetes.io/service-name' },
        ),
      },
      { description: 'metadata with a name and labels' },
    ),
    addressType: Type.Unsafe<'IPv4' | 'IPv6'>({ type: 'string', enum: ['IPv4', 'IPv6'], description: 'IPv4 or IPv6' }),
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
          },
          { description: 'an endpoint' },
        ),
        { maxItems: 1000, description: 'a list of at most 1000 endpoints' },
      ),
    ),
  },
  { description: 'an EndpointSlice' },
);

export type ServiceObject = Static<typeof serviceSchema>;

const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true });

/** A function that says what is wrong with the shape of a value; nothing, then it is a `T`. */
export function shape<S extends TSchema>(
  schema: S,
): (value: unknown) => { value: Static<S> } | { mismatches: Mismatch[] } {
  const validate = ajv.compile<Static<S>>(schema);
  return (raw) => {
    const value = withoutNulls(raw);
    if (validate(value)) return { value };
    const mismatches = (validate.errors ?? []).slice(0, MISMATCHES_MAX).map((error) => mismatchOf(error, value));
    // A value that breaks two rules of its field (length and letters) is one mismatch.
    return {
      mismatches: mismatches.filter(
        ({ field }, index) => mismatches.findIndex((other) => other.field === field) === index,
      ),
    };
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
