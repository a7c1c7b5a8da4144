import { existsSync } from 'node:fs';
import type { Access } from './access.ts';
import { openKubeconfig, usualKubeconfigs } from './kubeconfig.ts';
import { SERVICE_ACCOUNT, serverOfPod, ServiceAccount } from './service-account.ts';

/** Which way to take. */
export interface Way {
  /** A file; undefined: the service account of the pod that we run in. */
  readonly kubeconfig: string | undefined;
  /** Of the kubeconfig; undefined: its current one. */
  readonly context: string | undefined;
}

/** Finds the way to the API server. Rejects with an AccessError. */
export async function openAccess({ kubeconfig, context }: Way, serviceAccount = SERVICE_ACCOUNT): Promise<Access> {
  return kubeconfig === undefined
    ? new ServiceAccount(serverOfPod(), serviceAccount)
    : openKubeconfig([kubeconfig], context);
}

/** The same as kubectl does it: without a kubeconfig by the usual ones; by the service account only in a pod without any. */
export async function openUsualAccess({ kubeconfig, context }: Way): Promise<Access> {
  if (kubeconfig !== undefined) return openAccess({ kubeconfig, context });
  const files = usualKubeconfigs();
  const existing = files.filter((file) => existsSync(file));
  const inPod = context === undefined && process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
  if (existing.length === 0 && inPod) return openAccess({ kubeconfig, context });
  return openKubeconfig(existing.length > 0 ? existing : files, context);
}
