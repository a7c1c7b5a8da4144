import { type ClusterReading, counted, type Looked, textAt } from './reading.ts';

/** For which the image is built. */
const PLATFORMS: ReadonlySet<string> = new Set(['linux/amd64', 'linux/arm64']);
/** A Node names each image that it has: some tens of KiB. */
const PAGE_SIZE = 100;
const ZONE = 'topology.kubernetes.io/zone';
const ZONES_SHOWN = 10;

/** Can Heddle run on the nodes, and does it know where they stand? Throws Unread. */
export async function lookAtNodes(reading: ClusterReading): Promise<readonly Looked[]> {
  const platforms = new Map<string, number>();
  const zones = new Set<string>();
  let nodes = 0;
  let zoneless = 0;
  for await (const node of reading.objects('/api/v1/nodes', { pageSize: PAGE_SIZE })) {
    const platform = `${textAt(node, 'status', 'nodeInfo', 'operatingSystem')}/${textAt(node, 'status', 'nodeInfo', 'architecture')}`;
    const zone = textAt(node, 'metadata', 'labels', ZONE);
    nodes++;
    platforms.set(platform, (platforms.get(platform) ?? 0) + 1);
    if (zone === '') zoneless++;
    else zones.add(zone);
  }
  return [...lookAtPlatforms(platforms, nodes), ...(nodes === 0 ? [] : [lookAtZones(zones, zoneless)])];
}

function lookAtPlatforms(platforms: ReadonlyMap<string, number>, nodes: number): readonly Looked[] {
  const told = (able: boolean): string =>
    [...platforms]
      .filter(([platform]) => PLATFORMS.has(platform) === able)
      .map(([platform, count]) => `${count} ${platform}`)
      .join(', ');
  const [able, unable] = [told(true), told(false)];
  const looked: Looked[] = [];
  if (able !== '') looked.push({ verdict: 'ok', text: `Heddle runs on ${able}` });
  else {
    const advice = `It expects one of ${[...PLATFORMS].join(', ')}`;
    looked.push({ verdict: 'wrong', text: `none of ${counted(nodes, 'node')} can run Heddle`, advice });
  }
  if (unable !== '') {
    const advice =
      'Pods of these nodes have no Heddle on their own node; they can be endpoints of Services in the mesh';
    looked.push({ verdict: 'warning', text: `Heddle does not run on ${unable}`, advice });
  }
  return looked;
}

function lookAtZones(zones: ReadonlySet<string>, zoneless: number): Looked {
  const some = [...zones].toSorted().slice(0, ZONES_SHOWN).join(', ');
  if (zones.size === 0) {
    const advice = `Without the label ${ZONE} no zone is preferred; the own node can be`;
    return { verdict: 'ok', text: 'no node names its zone', advice };
  }
  const known = `${some}${zones.size > ZONES_SHOWN ? ', …' : ''}`;
  if (zoneless === 0) return { verdict: 'ok', text: `every node names its zone: ${known}` };
  const advice = `Label them with ${ZONE}: until then zones mean nothing to clients of these nodes`;
  return {
    verdict: 'warning',
    text: `without a zone: ${counted(zoneless, 'node')}; the zones of the others: ${known}`,
    advice,
  };
}
