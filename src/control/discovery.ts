import type { DiscoveryAnswer } from '../model/admin.ts';
import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import { FilesDiscovery } from './discovery/files.ts';
import { KubernetesDiscovery, type KubernetesOptions } from './discovery/kubernetes.ts';

export { API_KINDS } from './discovery/api-kinds.ts';
export { type ApiAnswer, type ClusterApi, openCluster, type RequestOptions } from './discovery/kubernetes.ts';
export { readManifestsOnce, type Source } from './discovery/files.ts';

/** A source of resources that is at work. */
export interface Discovery {
  /** Reads everything anew, changed or not. */
  reread(): void;
  /** How fresh all is, as of now. */
  readonly status: DiscoveryAnswer;
  /** Ends all that it holds: watches, timers, processes. Nothing is called any more. Resolves when the last good state is on disk. */
  stop(): Promise<void>;
}

export interface DiscoveryEvents {
  /**
   * All that is in force now. Never called before the first reading is complete, nor when nothing changed. Objects that are
   * as before are the same objects (===).
   */
  onResources(resources: Resources): void;
  /** The complete list of what is wrong now, however long (whoever takes it limits it); called when it changed, and before the resources that it came with. */
  onProblems(problems: readonly Problem[]): void;
}

/** Hands over what the manifests in and below some directories hold, and follows every change of them. */
export function discoverFiles(directories: readonly string[], events: DiscoveryEvents): Discovery {
  return new FilesDiscovery(directories, events);
}

/** Hands over what an API server holds, and follows every change of it. */
export function discoverKubernetes(options: KubernetesOptions, events: DiscoveryEvents): Discovery {
  return new KubernetesDiscovery(options, events);
}
