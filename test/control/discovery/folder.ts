import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { FilesDiscovery } from '../../../src/control/discovery/files.ts';
import type { ReaderLimits } from '../../../src/control/discovery/files/reader-process.ts';
import type { DiscoveryAnswer } from '../../../src/model/admin.ts';
import { problemText, type Problem } from '../../../src/model/problem.ts';
import type { Resources, Service } from '../../../src/model/resource.ts';
import { eventually } from '../../harness/client.ts';

/** A directory with these files, until the test ends. */
export function folder(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = mkdtempSync(join(tmpdir(), 'heddle-discovery-'));
  t.after(() => {
    rmSync(root, { recursive: true, force: true });
  });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** As careful programs save: the file is never half there. */
export function replaceFile(file: string, content: string): void {
  const temporary = join(dirname(file), '.saving');
  writeFileSync(temporary, content);
  renameSync(temporary, file);
}

/** The manifest of a Service in the namespace shop; ten lines. */
export function service(name: string, { annotations = '{}', clusterIp = '10.96.0.1' } = {}): string {
  return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  annotations: ${annotations}
spec:
  clusterIP: ${clusterIp}
  ports:
    - port: 80
`;
}

/** Follows directories until the test ends, and remembers what it was told. */
export class Follower {
  readonly handedOver: Resources[] = [];
  readonly told: (readonly Problem[])[] = [];
  readonly #root: string;
  readonly #discovery: FilesDiscovery;

  constructor(t: TestContext, directories: readonly string[], limits?: ReaderLimits) {
    this.#root = directories[0]!;
    const events = {
      onResources: (resources: Resources): void => {
        this.handedOver.push(resources);
      },
      onProblems: (problems: readonly Problem[]): void => {
        this.told.push(problems);
      },
    };
    this.#discovery = new FilesDiscovery(directories, events, limits);
    t.after(() => {
      this.stop();
    });
  }

  /** When the first reading is complete. */
  static async start(t: TestContext, directories: readonly string[], limits?: ReaderLimits): Promise<Follower> {
    const follower = new Follower(t, directories, limits);
    await follower.until('a first reading', () => follower.handedOver.length > 0);
    return follower;
  }

  get services(): readonly Service[] {
    return this.handedOver.at(-1)?.services ?? [];
  }

  /** Names, and the last part of each cluster IP, which tells versions apart: `a=1 b=1`. */
  get state(): string {
    const states = this.services.map(({ name, clusterIps }) => `${name}=${clusterIps[0]?.split('.').at(-1)}`);
    return states.toSorted().join(' ');
  }

  /** Problems as lines, without the path of the first directory. */
  get lines(): readonly string[] {
    return (this.told.at(-1) ?? []).map((problem) => problemText(problem).replaceAll(this.#root, ''));
  }

  get status(): DiscoveryAnswer {
    return this.#discovery.status;
  }

  reread(): void {
    this.#discovery.reread();
  }

  stop(): void {
    void this.#discovery.stop();
  }

  async until(what: string, done: () => boolean): Promise<void> {
    await eventually(done, { what, waitMs: 15_000 }).catch((error: unknown) => {
      throw new Error(`${String(error)}, got ${JSON.stringify([this.state, this.lines.slice(0, 5)])}`);
    });
  }

  async untilState(state: string): Promise<void> {
    await this.until(`the state ${state}`, () => this.state === state);
  }
}

/** Processes that this one started, without those that ended and are not waited for yet. */
export function childPids(): readonly number[] {
  return readdirSync('/proc/self/task')
    .flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' '))
    .filter((pid) => pid !== '')
    .map(Number)
    .filter((pid) => !/^State:\tZ/m.test(statusOf(pid)));
}

/** Those that were started since. */
export function newChildren(before: readonly number[]): readonly number[] {
  return childPids().filter((pid) => !before.includes(pid));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State:\tZ';
  }
}
