import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { inNamespace } from '../network.ts';
import type { ContainerSpec, SecurityContext } from '../objects.ts';
import { quoted } from '../shell.ts';
import { type Environment, expand } from './environment.ts';
import { type Image, NODE } from './images.ts';

/** What the root directory has of this machine. */
const SHARED = ['usr', 'etc', 'dev'];
const LINKS: Readonly<Record<string, string>> = {
  'bin': 'usr/bin',
  'sbin': 'usr/sbin',
  'lib': 'usr/lib',
  'lib64': 'usr/lib64',
  'var/run': '../run',
};

export interface ContainerOptions {
  readonly spec: ContainerSpec;
  readonly image: Image;
  /** Name of the network namespace. */
  readonly network: string;
  readonly environment: Environment;
  /** Of the container, and of the pod where the container's own says nothing. */
  readonly security: SecurityContext;
  readonly volumes: ReadonlyMap<string, string>;
  /** Its own, for the root directory. */
  readonly folder: string;
}

/** How a container is started, again and again. */
export interface Sandbox {
  readonly name: string;
  readonly command: readonly string[];
  /** Stands before every program that is run inside. */
  readonly privileges: readonly string[];
  readonly environment: Environment;
}

/**
 * A program as first process of a process namespace, in the network of its pod, with a root directory of its own, and with the user
 * and the privileges that its securityContext leaves it. An error names what the box cannot do.
 */
export function sandboxOf(options: ContainerOptions): Sandbox {
  const { spec, image, network, environment } = options;
  const privileges = privilegesOf(options.security);
  const command = [
    ...inNamespace(network),
    'unshare',
    '--mount',
    '--propagation=private',
    '--',
    'sh',
    '-ec',
    rootScript(options),
    'sh',
    ...privileges,
    ...programOf(spec, image, environment),
  ];
  return { name: spec.name, command, privileges, environment };
}

/** A shell script that makes the root directory, and becomes the program of its arguments in it. */
function rootScript({ spec, image, volumes, folder, security }: ContainerOptions): string {
  const root = path.join(folder, 'root');
  const inside = (file: string): string => quoted(path.join(root, file));
  const mounts = (spec.volumeMounts ?? []).flatMap(({ name, mountPath, subPath, readOnly }) => {
    const source = volumes.get(name);
    if (source === undefined || subPath !== undefined)
      throw new Error(`Expected a volume ${name} to be mounted whole, got ${subPath ?? 'none'}`);
    return bind(source, inside(mountPath), readOnly === true);
  });
  return [
    `mkdir -p ${quoted(root)}`,
    `mount -t tmpfs -o mode=755 none ${quoted(root)}`,
    `mkdir -p ${['proc', 'run', 'var', 'app', 'image'].map(inside).join(' ')}`,
    `mkdir -m 1777 ${inside('tmp')}`,
    ...SHARED.map((name) => `mkdir ${inside(name)}; mount --rbind /${name} ${inside(name)}`),
    ...Object.entries(LINKS).map(([link, target]) => `ln -s ${target} ${inside(link)}`),
    `touch ${inside(NODE)}; mount --bind ${quoted(process.execPath)} ${inside(NODE)}`,
    ...Object.entries(image.files).flatMap(([name, source]) => bind(source, inside(`app/${name}`), false)),
    ...Object.entries(image.scripts).map(
      ([name, text]) => `printf %s ${quoted(text)} > ${inside(`image/${name}`)}; chmod 755 ${inside(`image/${name}`)}`,
    ),
    ...mounts,
    ...(security.readOnlyRootFilesystem === true ? [`mount -o remount,ro,bind ${quoted(root)}`] : []),
    // Number 1 inside, so that signals mean to the program what they mean to one in a container.
    `exec unshare --pid --fork --kill-child --mount-proc --root=${quoted(root)} -- "$@"`,
  ].join('\n');
}

/** setpriv with what the container may not have. */
function privilegesOf(security: SecurityContext): readonly string[] {
  const { runAsUser, runAsGroup = runAsUser } = security;
  if (security.runAsNonRoot === true && (runAsUser ?? 0) === 0)
    throw new Error('Expected runAsUser other than 0 with runAsNonRoot, got none');
  const flags: string[] = [];
  if (runAsUser !== undefined && hasManyUsers())
    flags.push(`--reuid=${runAsUser}`, `--regid=${runAsGroup}`, '--clear-groups');
  if (security.allowPrivilegeEscalation === false) flags.push('--no-new-privs');
  if (security.capabilities?.drop?.includes('ALL') === true) flags.push('--inh-caps=-all', '--bounding-set=-all');
  return flags.length === 0 ? [] : ['setpriv', ...flags, '--'];
}

/** Entrypoint and arguments, as Docker and Kubernetes have them override each other. */
function programOf({ command, args }: ContainerSpec, image: Image, environment: Environment): readonly string[] {
  const words = [...(command ?? image.entrypoint), ...(args ?? (command === undefined ? image.arguments : []))];
  return words.map((word) => expand(word, environment));
}

/** Lines of shell that show a file or folder of this machine at another place. */
function bind(source: string, target: string, readOnly: boolean): readonly string[] {
  return [
    statSync(source).isDirectory() ? `mkdir -p ${target}` : `touch ${target}`,
    `mount --bind ${quoted(source)} ${target}`,
    ...(readOnly ? [`mount -o remount,ro,bind ${target}`] : []),
  ];
}

/** In a user namespace made without root there is one user, and no other to become. */
function hasManyUsers(): boolean {
  const ids = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
  return Number(ids[2]) > 1;
}
