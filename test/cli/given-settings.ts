import assert from 'node:assert/strict';
import { parseSettings, type SettingsResult } from '../../src/cli/settings.ts';
import type { Settings } from '../../src/model/settings.ts';

/** What a user gives. */
export interface Given {
  /** Texts of a flag; an empty list is a flag that was not given. */
  readonly flags?: Readonly<Record<string, string | readonly string[]>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Text of the file that `--config heddle.yaml` names. */
  readonly file?: string;
  readonly defaults?: ReadonlyMap<string, string>;
  readonly machine?: Partial<{ hostName: string; cores: number; terminal: boolean; inPod: boolean }>;
}

/** Everything that a start needs and these tests do not ask about is given. */
export function parse({ flags = {}, env = {}, file, defaults, machine = {} }: Given): SettingsResult {
  const all = { manifests: 'shop', ...(file === undefined ? {} : { config: 'heddle.yaml' }), ...flags };
  return parseSettings({
    flags: new Map(
      Object.entries(all)
        .map(([name, text]) => [name, typeof text === 'string' ? [text] : text] as const)
        .filter(([, texts]) => texts.length > 0),
    ),
    env,
    readFile: (path) => {
      if (path !== 'heddle.yaml' || file === undefined)
        throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return file;
    },
    machine: { hostName: 'loom', cores: 8, terminal: false, inPod: false, ...machine },
    ...(defaults === undefined ? {} : { defaults }),
  });
}

export function settingsOf(given: Given): Settings {
  const result = parse(given);
  assert.ok(result.type === 'settings', JSON.stringify(result));
  return result.settings;
}

export function errorsOf(given: Given): readonly string[] {
  const result = parse(given);
  assert.ok(result.type === 'errors', 'Expected errors');
  return result.errors;
}
