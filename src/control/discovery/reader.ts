import { parentPort, workerData } from 'node:worker_threads';
import { readDirectories } from './files.ts';

/** A thread that reads manifests and ends: `discoverFiles` starts one for each reading. */
parentPort?.postMessage(readDirectories(workerData as readonly string[]));
