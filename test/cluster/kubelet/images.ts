import { cpSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { NODE_FLAGS } from '../../../bin/find-node.js';

/** What a container has of its image: programs instead of layers. */
export interface Image {
  /** As ENTRYPOINT of a Dockerfile: `command` of a container takes its place. */
  readonly entrypoint: readonly string[];
  /** As CMD: `args` takes its place, and `command` drops it. */
  readonly arguments: readonly string[];
  /** Path in the container below /app → path on this machine; read only. */
  readonly files: Readonly<Record<string, string>>;
  /** Shell scripts on its PATH. */
  readonly scripts: Readonly<Record<string, string>>;
}

/** The Node that runs the box, in every container. */
export const NODE = '/image/node';
const HEDDLE = [NODE, ...NODE_FLAGS, '/app/dist/cli.js'];

const ROOT = path.join(import.meta.dirname, '..', '..', '..');
const MANIFEST = path.join(ROOT, 'package.json');
const PROGRAMS = path.join(import.meta.dirname, '..', 'programs');

/**
 * The images that there are, by the name before the tag, so that any tag is a version of them.
 *
 * @param folder keeps the built output as it is now: the next build must not pull it away from under a running node.
 */
export function makeImages(folder: string): ReadonlyMap<string, Image> {
  const dist = path.join(folder, 'dist');
  mkdirSync(dist, { recursive: true });
  if (existsSync(path.join(ROOT, 'dist'))) cpSync(path.join(ROOT, 'dist'), dist, { recursive: true });
  const program = (name: string): Image => ({
    entrypoint: [NODE, `/app/programs/${name}.ts`],
    arguments: [],
    files: { 'programs': PROGRAMS, 'package.json': MANIFEST },
    scripts: {},
  });
  return new Map<string, Image>([
    [
      'heddle',
      {
        entrypoint: HEDDLE,
        arguments: ['run'],
        files: {
          'dist': dist,
          'node_modules': path.join(ROOT, 'node_modules'),
          'package.json': MANIFEST,
          // Does nothing without the variables that tell a Node to load it.
          'saboteur.ts': path.join(ROOT, 'test', 'harness', 'saboteur.ts'),
        },
        scripts: { heddle: `#!/bin/sh\nexec ${HEDDLE.join(' ')} "$@"\n` },
      },
    ],
    ['heddle-test/app', program('app')],
    ['heddle-test/client', program('idle')],
    // Of deploy/examples, so that they can be tried: what they do, by programs of ours and of this machine.
    ['hashicorp/http-echo', program('echo')],
    ['curlimages/curl', { entrypoint: ['curl'], arguments: [], files: {}, scripts: {} }],
  ]);
}

/** The image of a reference: `ghcr.io/somebody/heddle:1.2@sha256:…` is `heddle`. */
export function findImage(images: ReadonlyMap<string, Image>, reference: string): Image {
  const name = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  const found = [...images].find(([known]) => name === known || name.endsWith(`/${known}`));
  if (found === undefined) throw new Error(`Expected an image of ${[...images.keys()].join(', ')}, got ${reference}`);
  return found[1];
}
