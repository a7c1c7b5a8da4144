import { harmless } from '../lib/shown.ts';
import { EXIT_UNWRITTEN } from './exit.ts';

/** Ends the process when standard output takes no more. A reader that went away (`| head`) has seen enough: that is no error. */
export function endWithOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`heddle: Expected standard output to take what is written, got ${harmless(error.message)}\n`);
    process.exit(EXIT_UNWRITTEN);
  });
}
