import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import { FilesDiscovery } from './discovery/files.ts';
import type { ReadOnce, Source } from './discovery/once.ts';

export type { Source } from './discovery/once.ts';

/** A source of resources that is at work. */
export interface Discovery {
  /** Reads everything anew, changed or not. */
  reread(): void;
  /** Ends all that it holds: watches, timers, processes. Nothing is called any more. */
  stop(): void;
}

export interface DiscoveryEvents {
  /**
   * All that is in force now. Never called before the first reading is complete, nor when nothing changed. Objects that are
   * as before are the same objects (===).
   */
  onResources(resources: Resources): void;
  /** The complete list of what is wrong now; called when it changed, and before the resources that it came with. */
  onProblems(problems: readonly Problem[]): void;
}

/** Hands over what the manifests in and below some directories hold, and follows every change of them. */
export function discoverFiles(directories: readonly string[], events: DiscoveryEvents): Discovery {
  return new FilesDiscovery(directories, events);
}

/** Reads manifests once, in this process, for those who only look at them: the command line. */
export async function readManifestsOnce(sources: readonly Source[]): Promise<ReadOnce> {
  // Loaded late: a node reads manifests in a process of their own, and YAML costs memory.
  const { readOnce } = await import('./discovery/once.ts');
  return readOnce(sources);
}
