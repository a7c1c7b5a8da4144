import type { DiscoverySettings } from '../../model/settings.ts';
import type { SettingName, Values } from './table.ts';

export interface SourceInput {
  /** What `--discovery` says; undefined where nobody has said it. */
  readonly wished: Values['discovery'];
  /** A flag, a variable or the settings file has it. */
  readonly given: (name: SettingName) => boolean;
  /** Runs in a pod with a service account, so that an API server is at hand. */
  readonly inPod: boolean;
}

export type Source = DiscoverySettings['from'];

/** Where resources come from: what the user says, else what the other settings or the surroundings point to. */
export function chooseSource({
  wished,
  given,
  inPod,
}: SourceInput): { readonly source: Source } | { readonly error: string } {
  const manifests = given('manifests');
  const kubeconfig = given('kubeconfig');
  if (wished === undefined && manifests && kubeconfig)
    return {
      error: '--discovery: Expected kubernetes or files where --manifests and --kubeconfig are given, got none',
    };
  if (wished === undefined && !manifests && !kubeconfig && !inPod) {
    const ways = '--manifests DIR, or --kubeconfig FILE for a cluster (in a pod its service account will do)';
    return { error: `--discovery: Expected a source of Services: ${ways}; got none` };
  }
  const source = wished ?? (manifests ? 'files' : 'kubernetes');
  if (source === 'files' && !manifests)
    return { error: '--manifests: Expected at least one folder of manifests with --discovery files, got none' };
  if (source === 'kubernetes' && !kubeconfig && !inPod) {
    const where = 'outside of a pod with a service account';
    return { error: `--kubeconfig: Expected a file with --discovery kubernetes ${where}, got none` };
  }
  if (source === 'kubernetes' && given('context') && !kubeconfig)
    return { error: '--context: Expected the --kubeconfig that it is of, got none' };
  return { source };
}

export function discoverySettings(source: Source, values: Values): DiscoverySettings {
  if (source === 'files') return { from: 'files', manifests: values.manifests };
  return {
    from: 'kubernetes',
    kubeconfig: values.kubeconfig,
    context: values.context,
    snapshotFile: values['snapshot-file'],
    snapshotMaxAgeMs: values['snapshot-max-age'],
  };
}
