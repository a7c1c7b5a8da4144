import { parseSettings } from '../../src/cli/settings.ts';
import type { Settings } from '../../src/model/settings.ts';

/** The settings that these flags make, for a test that starts a part of the mesh by itself. */
export function settingsOf(flags: Readonly<Record<string, string>> = {}): Settings {
  const parsed = parseSettings({
    flags: new Map(
      Object.entries({ discovery: 'files', manifests: '.', ...flags }).map(([name, value]) => [name, [value]]),
    ),
    env: {},
    readFile: () => '',
    machine: { hostName: 'loom', cores: 1, terminal: false, inPod: false },
  });
  if (parsed.type !== 'settings') throw new Error(`Expected settings, got ${JSON.stringify(parsed)}`);
  return parsed.settings;
}
