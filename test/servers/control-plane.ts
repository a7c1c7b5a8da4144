import { readFileSync } from 'node:fs';
import path from 'node:path';
import { contents, goBuild, type Provided, provide } from './provide.ts';

const SOURCES = path.join(import.meta.dirname, 'control-plane');
const BINARY = 'control-plane';
const BUILD_MS = 40 * 60_000;
const PROGRESS_MS = 30_000;

/**
 * The control plane of Kubernetes as one program; see control-plane/main.go. The first build on a machine takes about ten minutes of
 * two cores, and says so on standard error. Stripped, because the symbols are a third of it.
 */
export function provideControlPlane(): Promise<Provided> {
  const ldflags = `-s -w ${version()}`;
  return provide({
    name: BINARY,
    key: `${contents(SOURCES)}\n${ldflags}`,
    make: async (folder) => {
      const startMs = Date.now();
      const say = (what: string): void => void process.stderr.write(`Control plane of Kubernetes: ${what}\n`);
      say('being built, once for this machine; about 10 minutes with two cores');
      const progress = setInterval(
        () => say(`still being built, ${Math.round((Date.now() - startMs) / 1000)} s`),
        PROGRESS_MS,
      );
      try {
        await goBuild(SOURCES, path.join(folder, BINARY), { ldflags, timeoutMs: BUILD_MS });
      } finally {
        clearInterval(progress);
      }
      say('built');
    },
  });
}

/** @param folder of `provideControlPlane`. */
export function controlPlaneBinary(folder: string): string {
  return path.join(folder, BINARY);
}

/** What the official build stamps: without it the API server calls itself v0.0.0, and clients that look at versions go wrong. */
function version(): string {
  const found = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)$/m.exec(readFileSync(path.join(SOURCES, 'go.mod'), 'utf8'));
  if (found === null) throw new Error('Expected a version of k8s.io/kubernetes in go.mod, got none');
  const [, full, major, minor] = found;
  const stamps = { gitVersion: full, gitMajor: major, gitMinor: minor };
  return Object.entries(stamps)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ');
}
