import { ManifestFiles } from './manifest-file.ts';

const files = new ManifestFiles();

/**
 * A process that reads manifests for `files/reader-process.ts`: paths in, what they hold out, until the channel closes. The
 * signals of a terminal are meant for the node, which ends it.
 */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('message', (paths) => {
  process.send?.((paths as readonly string[]).map((path) => files.read(path)));
});
process.send?.('ready');
