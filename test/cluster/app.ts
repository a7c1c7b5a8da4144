/** Objects of the example application that scenarios are about. */

/** What it does to requests: answers 200, answers 500, or nothing. */
export type Mood = 'well' | 'failing' | 'silent';

export interface AppSpec {
  readonly namespace: string;
  readonly name: string;
  /** `each-node`: a DaemonSet in place of a Deployment, so that a node that is lost and comes back has its pod again. */
  readonly replicas: number | 'each-node';
  readonly version?: string;
  /** Of its pods, besides `app` with its name. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: wherever. */
  readonly node?: string;
  /** Its address is that of its node. */
  readonly hostNetwork?: boolean;
}

/** A Deployment of heddle-test/app, and the Service before it, port 80 to 8080. */
export function appObjects(spec: AppSpec): readonly object[] {
  const { namespace, name } = spec;
  return [appWorkload(spec), serviceObject(namespace, name, { app: name })];
}

/** A Service before pods of the application. */
export function serviceObject(
  namespace: string,
  name: string,
  selector: Readonly<Record<string, string>>,
  ports: readonly object[] = [{ name: 'http', port: 80, targetPort: 'http' }],
): object {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec: { selector, ports } };
}

/** A Deployment of heddle-test/app, without a Service. */
export function appWorkload(spec: AppSpec): object {
  const { namespace, name, replicas, version = '1', labels = {}, node, hostNetwork = false } = spec;
  const container = {
    name: 'app',
    image: `heddle-test/app:${version}`,
    ports: [{ name: 'http', containerPort: 8080 }],
    env: [
      { name: 'VERSION', value: version },
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
    ],
    // It answers at once that it is not ready. One that is slow on a busy machine is no less ready for that.
    readinessProbe: {
      httpGet: { path: '/ready', port: 'http' },
      periodSeconds: 1,
      failureThreshold: 1,
      timeoutSeconds: 5,
    },
  };
  return workload({
    namespace,
    name,
    replicas,
    labels,
    container,
    hostNetwork,
    ...(node === undefined ? {} : { node }),
  });
}

/** A pod from which scenarios call, as a Deployment of one, on a node. */
export function clientObjects(
  namespace: string,
  name: string,
  node: string,
  { hostNetwork = false }: { readonly hostNetwork?: boolean } = {},
): readonly object[] {
  const env = [{ name: 'MESH_HOST', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } }];
  const container = { name: 'client', image: 'heddle-test/client:1', env };
  return [workload({ namespace, name, replicas: 1, container, node, hostNetwork })];
}

interface WorkloadSpec {
  readonly namespace: string;
  readonly name: string;
  readonly replicas: AppSpec['replicas'];
  readonly labels?: Readonly<Record<string, string>>;
  readonly container: object;
  readonly node?: string;
  readonly hostNetwork?: boolean;
}

function workload(spec: WorkloadSpec): object {
  const { namespace, name, replicas, labels = {}, container, node, hostNetwork = false } = spec;
  const isOnEach = replicas === 'each-node';
  return {
    apiVersion: 'apps/v1',
    kind: isOnEach ? 'DaemonSet' : 'Deployment',
    metadata: { namespace, name },
    spec: {
      ...(isOnEach ? {} : { replicas }),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { ...labels, app: name } },
        spec: {
          ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
          hostNetwork,
          terminationGracePeriodSeconds: 10,
          containers: [container],
        },
      },
    },
  };
}
