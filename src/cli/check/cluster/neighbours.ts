import { API_KINDS } from '../../../control/discovery.ts';
import { ANNOTATION_PREFIX, FOREIGN_PREFIXES } from '../../../model/resource.ts';
import { annotationsOf, type ClusterReading, counted, listAt, type Looked, textAt } from './reading.ts';

const PAGE_SIZE = 500;
/** In the name of each Service that Traefik Mesh makes for one of a user: "maesh" in hexadecimal. */
const SHADOW = '-6d61657368-';
/** Groups of objects that say how traffic goes. */
const ROUTES = [
  { group: 'gateway.networking.k8s.io', name: 'Gateway API' },
  { group: 'split.smi-spec.io', name: 'SMI TrafficSplit' },
  { group: 'specs.smi-spec.io', name: 'SMI traffic specs' },
] as const;
const ACCESS = 'access.smi-spec.io';

/** What is there already that Heddle has to do with. Throws Unread. */
export async function lookAtNeighbours(reading: ClusterReading): Promise<readonly Looked[]> {
  const services = await countServices(reading);
  return [annotated(services), ...traefikMesh(services), ...(await routes(reading))];
}

interface ServiceCounts {
  readonly ours: number;
  readonly foreign: number;
  readonly shadows: number;
}

async function countServices(reading: ClusterReading): Promise<ServiceCounts> {
  const counts = { ours: 0, foreign: 0, shadows: 0 };
  for await (const service of reading.objects('/api/v1/services', { pageSize: PAGE_SIZE })) {
    const keys = annotationsOf(service);
    if (keys.some((key) => key.startsWith(ANNOTATION_PREFIX))) counts.ours++;
    if (keys.some((key) => FOREIGN_PREFIXES.some((prefix) => key.startsWith(prefix)))) counts.foreign++;
    if (textAt(service, 'metadata', 'name').includes(SHADOW)) counts.shadows++;
  }
  return counts;
}

function annotated({ ours }: ServiceCounts): Looked {
  if (ours > 0) {
    const text = `${counted(ours, 'Service')} with annotations of Heddle already`;
    return {
      verdict: 'ok',
      text,
      advice: 'They are obeyed as soon as Heddle runs: kubectl get services -A -o yaml shows them',
    };
  }
  const advice = `Once Heddle runs: kubectl annotate service NAME ${ANNOTATION_PREFIX}enabled=true`;
  return { verdict: 'ok', text: 'no Service has annotations of Heddle yet', advice };
}

function traefikMesh({ foreign, shadows }: ServiceCounts): readonly Looked[] {
  if (foreign === 0 && shadows === 0) return [];
  const text = `Traefik Mesh: ${counted(shadows, 'shadow Service')}, ${counted(foreign, 'Service')} with its annotations`;
  const advice =
    `Both can run side by side. On Services with ${ANNOTATION_PREFIX}enabled Heddle reads its traffic-type and scheme;\n` +
    'its other annotations become problems that say what to use instead';
  return [{ verdict: 'ok', text, advice }];
}

async function routes(reading: ClusterReading): Promise<readonly Looked[]> {
  const versions = new Map(
    listAt(await reading.get('/apis'), 'groups').map((group) => [
      textAt(group, 'name'),
      listAt(group, 'versions').map((version) => textAt(version, 'version')),
    ]),
  );
  const installed = ROUTES.filter(({ group }) => versions.has(group));
  const isRead = ({ group }: (typeof ROUTES)[number]): boolean =>
    versionsRead(group).some((version) => versions.get(group)?.includes(version));
  const names = installed.filter(isRead).map(({ name }) => name);
  const looked: Looked[] = installed
    .filter((route) => !isRead(route))
    .map(({ group, name }) => ({
      verdict: 'warning',
      text: `installed in no version that Heddle reads: ${name} (${versions.get(group)?.join(', ')})`,
      advice: `Heddle reads ${versionsRead(group).join(', ')} of ${group}: install definitions that have one of them`,
    }));
  if (names.length > 0) {
    const advice = `Their routes and splits are obeyed where they are about Services with ${ANNOTATION_PREFIX}enabled. Nothing is changed in them`;
    looked.unshift({ verdict: 'ok', text: `installed: ${names.join(', ')}`, advice });
  }
  if (versions.has(ACCESS)) {
    const advice = 'This version reads none of its objects, and nothing is forbidden by them';
    looked.push({ verdict: 'ok', text: 'installed: SMI access control', advice });
  }
  return looked;
}

/** Of the kinds of a group. */
function versionsRead(group: string): readonly string[] {
  const kinds = Object.values(API_KINDS).filter((kind) => kind.group === group);
  return [...new Set(kinds.flatMap((kind): readonly string[] => kind.versions))];
}
