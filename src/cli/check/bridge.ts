import type { BridgeAnswer, BridgeLinkView } from '../../model/admin.ts';
import { type Finding, finding } from './finding.ts';
import type { Verdict } from '../mark.ts';

const AWAY =
  'Publishing answers 503 meanwhile, and nothing is delivered; the rest of the mesh goes on. Is it up, and reachable?';
const REFUSED = 'Do the files of --nats-creds, --nats-nkey, --nats-user and --nats-tls-… hold what the server wants?';

type LinkState = BridgeLinkView['state'];

const VERDICTS: Readonly<Record<Exclude<LinkState, 'off' | 'up'>, readonly [Verdict, advice: string]>> = {
  'connecting': ['warning', 'Look again, or use --wait 10s'],
  'unknown': ['warning', 'Look again, or use --wait 10s'],
  'lame-duck': ['warning', 'The server goes away; another one of its cluster is taken'],
  'lost': ['wrong', AWAY],
  'refused': ['wrong', REFUSED],
};

/** How the links to the broker are. */
export function bridgeFindings({ links }: BridgeAnswer): readonly Finding[] {
  if (links.every(({ state }) => state === 'off')) return [finding('bridge', 'ok', 'off: --nats-url is not set')];
  const findings = links.flatMap(linkFinding);
  if (findings.length > 0) return findings;
  const servers = new Set(links.map(({ server }) => (server === null ? '' : `${server.name} ${server.version}`)));
  return [finding('bridge', 'ok', `linked to ${[...servers].join(', ')}`)];
}

function linkFinding({ worker, state, error }: BridgeLinkView): readonly Finding[] {
  if (state === 'off' || state === 'up') return [];
  // A newer node may know more.
  const [verdict, advice] = VERDICTS[state] ?? ['warning', ''];
  const reason = error === '' ? '' : `: ${error}`;
  return [finding('bridge', verdict, `the link of worker ${worker} is ${state}${reason}`, advice)];
}
