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
  { group: 'access.smi-spec.io', name: 'SMI access control' },
] as const;

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
  const groups = new Set(listAt(await reading.get('/apis'), 'groups').map((group) => textAt(group, 'name')));
  const names = ROUTES.filter(({ group }) => groups.has(group)).map(({ name }) => name);
  if (names.length === 0) return [];
  const advice = 'This version reads none of their objects: that comes with routes. Nothing is changed in them';
  return [{ verdict: 'ok', text: `installed: ${names.join(', ')}`, advice }];
}
