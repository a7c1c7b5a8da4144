import { readDirectories } from './files.ts';

/** A process that reads manifests, tells what it found and ends: `discoverFiles` starts one for each reading. */
process.send?.(readDirectories(process.argv.slice(2)), () => {
  process.disconnect?.();
});
