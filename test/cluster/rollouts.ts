import type { Box } from './box.ts';
import type { SmiVersion } from './crds.ts';

// How programs that roll out new versions step by step write their routes: Argo Rollouts and Flagger.

/** Creates, or changes, what splits the traffic. */
export type SetCanaryWeight = (percent: number) => Promise<void>;

interface Services {
  readonly namespace: string;
  /** Whom clients address. */
  readonly root: string;
  readonly stable: string;
  readonly canary: string;
}

/** Argo Rollouts: a TrafficSplit, created once, then patched with what differs. */
export function argoSplit(
  box: Box,
  version: SmiVersion,
  { namespace, root, stable, canary }: Services,
): SetCanaryWeight {
  const url = collection(version, namespace);
  let isThere = false;
  return async (percent) => {
    const backends = weighted(version, [
      [canary, percent],
      [stable, 100 - percent],
    ]);
    if (isThere) {
      await box.api.patch(`${url}/${root}`, { spec: { backends } }, 'merge');
      return;
    }
    await box.api.create(url, {
      apiVersion: `split.smi-spec.io/${version}`,
      kind: 'TrafficSplit',
      metadata: { namespace, name: root },
      spec: { service: root, backends },
    });
    isThere = true;
  };
}

/** Flagger with SMI: a TrafficSplit, created once, then read and written as a whole. */
export function flaggerSplit(
  box: Box,
  version: SmiVersion,
  { namespace, root, stable, canary }: Services,
): SetCanaryWeight {
  const object = (percent: number): object => ({
    apiVersion: `split.smi-spec.io/${version}`,
    kind: 'TrafficSplit',
    metadata: { namespace, name: root },
    spec: {
      service: root,
      backends: weighted(version, [
        [canary, percent],
        [stable, 100 - percent],
      ]),
    },
  });
  return async (percent) => createOrUpdate(box, collection(version, namespace), root, object(percent));
}

/** Flagger with Gateway API: an HTTPRoute whose parent is the Service, in the group that its documentation writes. */
export function flaggerRoute(box: Box, { namespace, root, stable, canary }: Services): SetCanaryWeight {
  const backendRef = (name: string, weight: number): object => ({ group: '', kind: 'Service', name, port: 80, weight });
  const object = (percent: number): object => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { namespace, name: root },
    spec: {
      parentRefs: [{ group: 'core', kind: 'Service', namespace, name: root, port: 80 }],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/' } }],
          backendRefs: [backendRef(stable, 100 - percent), backendRef(canary, percent)],
        },
      ],
    },
  });
  const url = `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/httproutes`;
  return async (percent) => createOrUpdate(box, url, root, object(percent));
}

function collection(version: SmiVersion, namespace: string): string {
  return `/apis/split.smi-spec.io/${version}/namespaces/${namespace}/trafficsplits`;
}

/** In v1alpha1 weights are quantities, which are text. */
function weighted(
  version: SmiVersion,
  shares: readonly (readonly [service: string, weight: number])[],
): readonly object[] {
  return shares.map(([service, weight]) => ({ service, weight: version === 'v1alpha1' ? String(weight) : weight }));
}

async function createOrUpdate(box: Box, url: string, name: string, object: object): Promise<void> {
  const { status, body } = await box.api.ask('GET', `${url}/${name}`);
  if (status === 404) await box.api.create(url, object);
  else
    await box.api.update(`${url}/${name}`, {
      ...(body as object),
      ...object,
      metadata: (body as { metadata: object }).metadata,
    });
}
