import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of manifests whose files are replaced one by one, each by a rename. */
export class ManifestFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'heddle-manifests-'));

  /** @returns when it was renamed (performance.now): objects that are JSON, or text as it is. */
  put(file: string, content: readonly object[] | string): number {
    const documents = typeof content === 'string' ? content : content.map((one) => JSON.stringify(one)).join('\n---\n');
    writeFileSync(join(this.path, '.new'), documents);
    const renamedMs = performance.now();
    renameSync(join(this.path, '.new'), join(this.path, file));
    return renamedMs;
  }

  /** Takes one file away. */
  remove(file: string): void {
    rmSync(join(this.path, file));
  }

  /** Takes the folder away. */
  end(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
