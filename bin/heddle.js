#!/usr/bin/env node
// Starts Heddle under a Node that can run it. A clone runs src/*.ts; the package and the image hold only dist/*.js,
// because Node strips no types below node_modules.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EXIT_UNAVAILABLE, NODE_FLAGS, runNode, thisNodeWillDo } from './find-node.js';

const source = new URL('../src/cli.ts', import.meta.url);
const built = new URL('../dist/cli.js', import.meta.url);
const useBuilt = process.env.HEDDLE_DIST === '1' || !existsSync(source);

if (useBuilt && !existsSync(built)) {
  process.stderr.write(
    'Heddle is not built: dist/cli.js is missing\nRun "npm run build", or unset HEDDLE_DIST to run from src\n',
  );
  process.exit(EXIT_UNAVAILABLE);
}
const entry = useBuilt ? built : source;
if (thisNodeWillDo()) {
  await import(entry.href);
} else {
  runNode([...NODE_FLAGS, fileURLToPath(entry), ...process.argv.slice(2)]);
}
