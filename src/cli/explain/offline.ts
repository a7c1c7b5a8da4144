import { localize, type Localization } from '../../control/localize.ts';
import type { EndpointView, ExplainAnswer } from '../../model/admin.ts';
import {
  concerning,
  EXPLAIN_LIMITS,
  EXPLAIN_SETTINGS,
  type ExplainQuestion,
  type Explanation,
} from '../../model/explanation.ts';
import { problemView } from '../../model/problem.ts';
import { statusViews } from '../../model/route-status.ts';
import { type Backend, endpointKey } from '../../model/snapshot.ts';
import { explain } from '../../proxy/explain.ts';
import { FrontendTable, LiveRouting, type TermsSettings } from '../../proxy/route.ts';
import { readAndCompile } from '../manifests.ts';
import { parseSettings } from '../settings.ts';

/** A node that nobody has set up: it stands nowhere, and listens on nothing. */
const NOWHERE = { nodeName: '', zone: '', addresses: new Set<string>(), ports: new Set<number>() };
/** Nothing is counted without a node. */
const NOTHING_COUNTED = {
  ejectedMs: null,
  ejectedBy: '',
  ejections: 0,
  failuresInRow: 0,
  check: 'off',
  panic: false,
  share: 0,
  active: 0,
  latencyMs: 0,
  attempts: 0,
  failures: 0,
  errors: 0,
  connections: 0,
  connectionsIdle: 0,
  waiting: 0,
} as const;

/** What a node with these manifests and without settings of its own would do. Throws a CommandEnd where nothing can be read. */
export async function explainManifests(paths: readonly string[], question: ExplainQuestion): Promise<ExplainAnswer> {
  const { compilation, problems } = await readAndCompile(paths);
  const localization = localize(compilation, NOWHERE, undefined);
  const { configuration } = localization;
  const { effective, meshListen, ...settings } = defaults();
  const directory = {
    frontends: new FrontendTable(configuration),
    workloads: new Map(configuration.workloads.map((workload) => [workload.address, workload])),
    routings: new Map(configuration.routings.map((routing) => [routing.id, new LiveRouting(routing, settings)])),
    backends: new Map(configuration.backends.map((backend) => [backend.id, { backend }])),
  };
  const listenerPort = meshListen?.port ?? 0;
  const explanation = explain(question, { directory, generation: 0, settings, listenerPort });
  const endpoints = endpointsOf(explanation, localization);
  const all = [...problems, ...localization.problems];
  return {
    explanation,
    endpoints: endpoints.slice(0, EXPLAIN_LIMITS.endpoints),
    endpointsLeft: Math.max(0, endpoints.length - EXPLAIN_LIMITS.endpoints),
    load: null,
    problems: concerning(explanation, all, ({ object, expected, got }) => [object, expected, got]).map(problemView),
    statuses: concerning(explanation, statusViews(compilation.statuses), ({ object, parent }) => [object, parent]),
    settings: effective.filter(({ name }) => EXPLAIN_SETTINGS.has(name)),
  };
}

function defaults(): TermsSettings & {
  readonly effective: ExplainAnswer['settings'];
  readonly meshListen: { readonly port: number } | undefined;
} {
  const result = parseSettings({
    flags: new Map([['manifests', ['.']]]),
    env: {},
    readFile: () => '',
    machine: { hostName: '', cores: 1, terminal: false, inPod: false },
  });
  if (result.type === 'errors') throw new Error(`Expected settings by default, got ${result.errors.join(', ')}`);
  return { ...result.settings, effective: result.effective };
}

function endpointsOf({ backend: step }: Explanation, { chosen }: Localization): readonly EndpointView[] {
  const found = [...chosen.values()].find(({ backend: { id } }) => id === step?.id);
  if (found === undefined) return [];
  const view = ownedBy(found.backend);
  return [
    ...found.backend.endpoints.map((one) => view(endpointKey(one), '', one.tier)),
    ...found.unused.map(({ address, reason }) => view(address, reason, 0)),
  ].toSorted((a, b) => (a.address < b.address ? -1 : 1));
}

/** Makes views of the endpoints of one backend. */
function ownedBy({ namespace, name, port }: Backend): (address: string, reason: string, tier: number) => EndpointView {
  return (address, reason, tier) => {
    const state = reason === '' ? 'used' : 'unused';
    return { namespace, name, port, address, state, reason, tier, ...NOTHING_COUNTED };
  };
}
