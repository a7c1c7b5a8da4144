import { API_ADDRESS } from '../network.ts';
import type { ContainerSpec, PodObject } from '../objects.ts';

export interface PodAddresses {
  readonly podIp: string;
  readonly hostIp: string;
}

export type Environment = Readonly<Record<string, string>>;

/** The value of a `fieldRef`. */
export function fieldOf(pod: PodObject, { podIp, hostIp }: PodAddresses, field: string): string {
  const fields: Environment = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'spec.nodeName': pod.spec.nodeName ?? '',
    'spec.serviceAccountName': pod.spec.serviceAccountName ?? 'default',
    'status.podIP': podIp,
    'status.podIPs': podIp,
    'status.hostIP': hostIp,
  };
  const value = fields[field];
  if (value === undefined)
    throw new Error(`Expected one of ${Object.keys(fields).join(', ')} in a fieldRef, got ${field}`);
  return value;
}

/** What the processes of a container find in their environment. Of Services there is only `kubernetes`. */
export function environmentOf(pod: PodObject, container: ContainerSpec, addresses: PodAddresses): Environment {
  if (container.envFrom !== undefined) throw new Error('Expected no envFrom, which the box does not know');
  const environment: Record<string, string> = {
    PATH: '/image:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: pod.metadata.name,
    HOME: '/',
    KUBERNETES_SERVICE_HOST: API_ADDRESS,
    KUBERNETES_SERVICE_PORT: '443',
  };
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      environment[name] = expand(value ?? '', environment);
    } else {
      if (valueFrom.fieldRef === undefined)
        throw new Error(`Expected ${name} to come from a fieldRef, got another source`);
      environment[name] = fieldOf(pod, addresses, valueFrom.fieldRef.fieldPath);
    }
  }
  return environment;
}

/** `$(NAME)` of what stands before it; unknown names stay, and `$$(NAME)` is `$(NAME)`. */
export function expand(text: string, environment: Environment): string {
  return text.replaceAll(/\$\$|\$\(([-._a-zA-Z0-9]+)\)/g, (whole, name?: string) =>
    name === undefined ? '$' : (environment[name] ?? whole),
  );
}
