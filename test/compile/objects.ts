/** Resources for tests: plain ones of the namespace `shop`, and what a test wants otherwise. */
import type { EndpointSlice, Namespace, Pod, Service, SliceEndpoint } from '../../src/model/resource.ts';

/** An enabled Service. */
export function service(name: string, over: Partial<Service> = {}): Service {
  return {
    namespace: 'shop',
    name,
    annotations: { 'heddle.dev/enabled': 'true' },
    type: 'ClusterIP',
    externalName: '',
    headless: false,
    clusterIps: [],
    family: 'IPv4',
    publishNotReadyAddresses: false,
    internalTrafficPolicy: 'Cluster',
    sessionAffinity: 'None',
    trafficDistribution: '',
    ports: [{ name: '', port: 80, protocol: 'TCP', targetPort: 8080, appProtocol: '' }],
    ...over,
  };
}

/** A ready endpoint of unknown place. */
export function endpoint(address: string, over: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return {
    address,
    ready: true,
    serving: true,
    terminating: false,
    nodeName: '',
    zone: '',
    forNodes: [],
    forZones: [],
    ...over,
  };
}

export function slice(serviceName: string, ...endpoints: readonly (string | SliceEndpoint)[]): EndpointSlice {
  return {
    namespace: 'shop',
    name: `${serviceName}-1`,
    service: serviceName,
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: endpoints.map((one) => (typeof one === 'string' ? endpoint(one) : one)),
  };
}

/** @param enabled its annotation, if any. */
export function namespace(name: string, enabled?: string): Namespace {
  return { name, annotations: enabled === undefined ? {} : { 'heddle.dev/enabled': enabled } };
}

export function pod(name: string, ...addresses: readonly string[]): Pod {
  return { namespace: 'shop', name, serviceAccount: 'web', labels: {}, addresses, hostNetwork: false, ended: false };
}
