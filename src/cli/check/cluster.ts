import { type ClusterApi, openCluster } from '../../control/discovery.ts';
import { shown } from '../../lib/shown.ts';
import { writeJson } from '../command.ts';
import { CommandEnd, EXIT_UNREAD, EXIT_WRONG } from '../exit.ts';
import { lookAtHostPorts } from './cluster/host-ports.ts';
import { lookAtNamespace } from './cluster/namespace.ts';
import { lookAtNeighbours } from './cluster/neighbours.ts';
import { lookAtNodes } from './cluster/nodes.ts';
import { ClusterReading, type Looked, Unread } from './cluster/reading.ts';
import { lookAtRights } from './cluster/rights.ts';
import { lookAtServer } from './cluster/server.ts';
import { type Finding, finding, isFine, tell } from './finding.ts';

/** Of everything; each request has a limit of its own. */
const CHECK_MS_MAX = 120_000;

export interface ClusterCheckOptions {
  /** Undefined: where kubectl finds it, else the service account of the pod that we run in. */
  readonly kubeconfig: string | undefined;
  /** Undefined: the current one of the kubeconfig. */
  readonly context: string | undefined;
  readonly output: 'table' | 'json';
}

/**
 * Checks whether Heddle will work in a cluster, before it is there, and changes nothing. @returns the exit code. Throws
 * CommandEnd where the cluster cannot be reached.
 */
export async function checkCluster({ kubeconfig, context, output }: ClusterCheckOptions): Promise<number> {
  const api = await opened(kubeconfig, context);
  try {
    const findings = await lookAtCluster(api);
    if (output === 'json') writeJson({ ok: isFine(findings), findings });
    else tell(findings);
    return isFine(findings) ? 0 : EXIT_WRONG;
  } finally {
    api.close();
  }
}

async function opened(kubeconfig: string | undefined, context: string | undefined): Promise<ClusterApi> {
  try {
    return await openCluster({ kubeconfig, context });
  } catch (error) {
    throw new CommandEnd((error as Error).message, EXIT_UNREAD, { cause: error });
  }
}

/** All that was found. Throws CommandEnd where the cluster cannot be read at all. */
export async function lookAtCluster(api: ClusterApi): Promise<readonly Finding[]> {
  const reading = new ClusterReading(api, AbortSignal.timeout(CHECK_MS_MAX));
  // Without it there is nothing to say about the rest.
  const server = await lookAtServer(reading, api.server).catch((error: unknown) => {
    if (!(error instanceof Unread)) throw error;
    const { text, advice = '' } = error.looked;
    throw new CommandEnd(
      `Expected a cluster that can be read at ${shown(api.server)}, got: ${text}\n${advice}`,
      EXIT_UNREAD,
    );
  });
  const [rights, nodes, hostPorts, namespace, neighbours] = await Promise.all([
    looked(lookAtRights(reading)),
    looked(lookAtNodes(reading)),
    looked(lookAtHostPorts(reading)),
    looked(lookAtNamespace(reading)),
    looked(lookAtNeighbours(reading)),
  ]);
  return Object.entries({
    'API server': server,
    rights,
    nodes,
    'host ports': hostPorts,
    namespace,
    neighbours,
  }).flatMap(([section, all]) => all.map(({ verdict, text, advice }) => finding(section, verdict, text, advice)));
}

/** What one part of the cluster does not tell is a finding of its section, and no more. */
async function looked(all: Promise<readonly Looked[]>): Promise<readonly Looked[]> {
  try {
    return await all;
  } catch (error) {
    if (error instanceof Unread) return [error.looked];
    throw error;
  }
}
