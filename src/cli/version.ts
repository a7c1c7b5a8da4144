import { readFileSync } from 'node:fs';

/** Of this Heddle, as package.json has it. The same path from src/cli and from dist/cli. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
