/** Writes deploy/heddle.yaml anew: `npm run manifest`. */
import { writeFileSync } from 'node:fs';
import { MANIFEST, manifestText } from './manifest.ts';

writeFileSync(MANIFEST, manifestText());
