import { quoted } from './shown.ts';

/** Beyond it a path stays that of the ancestor: long keys, deeply nested, must not multiply. */
const PATH_MAX = 500;

/** Field path of a member: `spec.ports`, `metadata.annotations["heddle.dev/ports"]`. */
export function memberPath(path: string, key: string): string {
  if (path.length + key.length > PATH_MAX) return path;
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${path}[${quoted(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}
