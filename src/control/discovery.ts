import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Backoff } from '../lib/backoff.ts';
import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import type { Reading } from './discovery/manifest.ts';

/** A source of resources that is at work. */
export interface Discovery {
  stop(): void;
}

/** Far more than manifests need; a file made to eat memory ends the reading, not the node. */
const READER_HEAP_MB = 1024;
const RETRY_MS_FIRST = 1000;
const RETRY_MS_MAX = 30_000;

/**
 * Reads the manifests of some directories and hands over what they hold. The reading has a process of its own: the main
 * thread accepts connections and must not wait for a large or hostile file, and the 30 MB that YAML and schema code need are
 * given back when it ends (a thread's would stay with the process). A reading that fails as a whole tells nothing about the
 * manifests: it is a problem, resources are undefined, and it is tried again.
 */
export function discoverFiles(
  directories: readonly string[],
  onResources: (resources: Resources | undefined, problems: readonly Problem[]) => void,
): Discovery {
  const backoff = new Backoff(RETRY_MS_FIRST, RETRY_MS_MAX);
  let reader: ChildProcess | undefined;
  let retry: NodeJS.Timeout | undefined;
  let stopped = false;

  const read = (): void => {
    let told = false;
    reader = startReader(directories);
    reader.once('message', (message) => {
      const { resources, problems } = message as Reading;
      told = true;
      if (!stopped) onResources(resources, problems);
    });
    reader.once('error', () => {});
    reader.once('close', (code, signal) => {
      if (told || stopped) return;
      const expected = `manifests that can be read with ${READER_HEAP_MB} MB of memory`;
      const got = `a reader that ended with ${signal ?? `exit code ${code}`}`;
      onResources(undefined, [{ object: directories.join(', '), field: '', expected, got }]);
      retry = setTimeout(read, backoff.next(performance.now()));
    });
  };
  read();
  return {
    stop() {
      stopped = true;
      clearTimeout(retry);
      if (reader?.connected === true) reader.disconnect();
      reader?.kill('SIGKILL');
      reader?.unref();
    },
  };
}

function startReader(directories: readonly string[]): ChildProcess {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const path = fileURLToPath(new URL(`./discovery/reader${extname(import.meta.filename)}`, import.meta.url));
  return fork(path, directories, {
    execArgv: [`--max-old-space-size=${READER_HEAP_MB}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}
