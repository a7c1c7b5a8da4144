import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Api } from '../api.ts';
import type { ConfigMapObject, ConfigMapSource, PodObject, ProjectedSource, SecretSource, Volume } from '../objects.ts';
import { fieldOf, type PodAddresses } from './environment.ts';

const TOKEN_SECONDS = 3600;

/** Makes the volumes of a pod as folders below `folder`, by name. Tokens, ConfigMaps and Secrets are as of now; they are not renewed. */
export async function makeVolumes(
  api: Api,
  pod: PodObject,
  addresses: PodAddresses,
  folder: string,
): Promise<ReadonlyMap<string, string>> {
  const made = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) {
    const place = path.join(folder, volume.name);
    mkdirSync(place, { recursive: true });
    const files = await filesOf(api, pod, addresses, volume);
    // An emptyDir is for whatever user the container runs as.
    if (volume.emptyDir !== undefined) chmodSync(place, 0o777);
    for (const [name, text] of files) {
      mkdirSync(path.dirname(path.join(place, name)), { recursive: true });
      writeFileSync(path.join(place, name), text);
    }
    made.set(volume.name, place);
  }
  return made;
}

type Files = readonly (readonly [path: string, text: string])[];

async function filesOf(api: Api, pod: PodObject, addresses: PodAddresses, volume: Volume): Promise<Files> {
  if (volume.emptyDir !== undefined) return [];
  if (volume.configMap !== undefined) return configMapFiles(api, pod, volume.configMap);
  if (volume.secret !== undefined) return secretFiles(api, pod, volume.secret);
  if (volume.projected !== undefined) {
    const sources = volume.projected.sources.map(async (source) => projectedFiles(api, pod, addresses, source));
    return (await Promise.all(sources)).flat();
  }
  throw new Error(
    `Expected the volume ${volume.name} to be emptyDir, configMap, secret or projected, got another kind`,
  );
}

async function projectedFiles(
  api: Api,
  pod: PodObject,
  addresses: PodAddresses,
  source: ProjectedSource,
): Promise<Files> {
  const { serviceAccountToken, configMap, downwardAPI } = source;
  if (configMap !== undefined) return configMapFiles(api, pod, configMap);
  if (downwardAPI !== undefined)
    return downwardAPI.items.map((item) => [item.path, fieldOf(pod, addresses, item.fieldRef?.fieldPath ?? '')]);
  if (serviceAccountToken === undefined)
    throw new Error(`Expected a projected token, configMap or downwardAPI, got ${Object.keys(source).join(', ')}`);
  const { namespace, name, uid } = pod.metadata;
  const account = pod.spec.serviceAccountName ?? 'default';
  const reply = await api.create<{ readonly status: { readonly token: string } }>(
    `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: serviceAccountToken.audience === undefined ? [] : [serviceAccountToken.audience],
        expirationSeconds: serviceAccountToken.expirationSeconds ?? TOKEN_SECONDS,
        boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid },
      },
    },
  );
  return [[serviceAccountToken.path, reply.status.token]];
}

async function secretFiles(api: Api, pod: PodObject, { secretName, optional }: SecretSource): Promise<Files> {
  const { status, body } = await api.ask('GET', `/api/v1/namespaces/${pod.metadata.namespace}/secrets/${secretName}`);
  if (status === 404 && optional === true) return [];
  if (status !== 200) throw new Error(`Expected the Secret ${secretName}, got ${status}`);
  const { data = {} } = body as { readonly data?: Readonly<Record<string, string>> };
  return Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
}

async function configMapFiles(api: Api, pod: PodObject, source: ConfigMapSource): Promise<Files> {
  const url = `/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${source.name}`;
  const { data = {} } = await api.get<ConfigMapObject>(url);
  const items = source.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  return items.map((item) => {
    const text = data[item.key];
    if (text === undefined) throw new Error(`Expected the key ${item.key} in the ConfigMap ${source.name}, got none`);
    return [item.path, text];
  });
}
