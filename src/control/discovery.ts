import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import { readDirectories } from './discovery/files.ts';

/** A source of resources that is at work. */
export interface Discovery {
  stop(): void;
}

/**
 * Reads the manifests of some directories and hands over what they hold, once, before it returns. The reader can be asked
 * again at any time; nothing watches the directories yet, so that there is nothing to stop.
 */
export function discoverFiles(
  directories: readonly string[],
  onResources: (resources: Resources, problems: readonly Problem[]) => void,
): Discovery {
  const { resources, problems } = readDirectories(directories);
  onResources(resources, problems);
  return { stop() {} };
}
