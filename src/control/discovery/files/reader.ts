import { portionsOf, type Portion } from './portions.ts';
import { ManifestFiles } from './manifest-file.ts';

const files = new ManifestFiles();
let portions: Iterator<Portion, undefined> | undefined;

/**
 * A process that reads manifests for `reader-process.ts`, until the channel closes: a path in, the first portion of what
 * the file holds out; no path in, the next one out. The signals of a terminal are meant for the node, which ends it.
 */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('message', (message) => {
  const { path } = message as { path: string | null };
  if (path !== null) portions = portionsOf(files.read(path));
  process.send?.(portions?.next().value);
});
process.send?.('ready');
