import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import type { Reading } from './discovery/manifest.ts';

/** A source of resources that is at work. */
export interface Discovery {
  stop(): void;
}

/** Far more than manifests need; a file made to eat memory ends the reading, not the node. */
const READER_HEAP_MB = 1024;

/**
 * Reads the manifests of some directories and hands over what they hold, once. The reading has a thread of its own: the main
 * thread accepts connections and must not wait for a large or hostile file, and what parsing needs (some 30 MB of YAML and
 * schema code) is gone when it is done.
 */
export function discoverFiles(
  directories: readonly string[],
  onResources: (resources: Resources, problems: readonly Problem[]) => void,
): Discovery {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const reader = new Worker(new URL(`./discovery/reader${extname(import.meta.filename)}`, import.meta.url), {
    workerData: directories,
    resourceLimits: { maxOldGenerationSizeMb: READER_HEAP_MB },
    name: 'reader',
  });
  reader.once('message', ({ resources, problems }: Reading) => {
    onResources(resources, problems);
  });
  reader.once('error', (error) => {
    const expected = `manifests that can be read with ${READER_HEAP_MB} MB of memory`;
    const object = directories.join(', ');
    onResources({ services: [], endpointSlices: [] }, [{ object, field: '', expected, got: String(error) }]);
  });
  return {
    stop() {
      void reader.terminate();
    },
  };
}
