import { Slices } from '../../lib/slices.ts';
import { type Content, ContentWriter } from './content.ts';
import {
  CALL_FAMILIES,
  callLabels,
  callSeries,
  DELIVERY_FAMILIES,
  deliveryLabels,
  deliverySeries,
  LINK_FAMILIES,
} from './metrics/bridge.ts';
import {
  BACKEND_FAMILIES,
  type BackendFigures,
  ENDPOINT_FAMILIES,
  type EndpointFigures,
  KIND_FAMILIES,
  NODE_FAMILIES,
  WORKER_FAMILIES,
} from './metrics/families.ts';
import { ENDPOINT_RESILIENCE_FAMILIES, RESILIENCE_FAMILIES } from './metrics/resilience.ts';
import { Exposition, type Format, label } from './metrics/format.ts';
import { PROCESS_FAMILIES, processFigures } from './metrics/process.ts';
import { backendSeries, type BackendSeries, endpointSeries, type EndpointSeries } from './series.ts';
import type { AdminSource } from './source.ts';
import { endpointStanding, GOOD_STANDING, loadView } from './standing.ts';

export { type Format, formatFor, MEDIA_TYPES } from './metrics/format.ts';

/** Of all time, what writing metrics may take of the main thread, however often it is asked. */
const SHARE_MAX = 0.2;

/**
 * The exposition of all metrics. Those who ask while it is made get the same one, and it is given out a little longer, in
 * proportion to what it took (about 4 ms for a small mesh): asking more often does not cost more.
 */
export class Metrics {
  readonly #source: AdminSource;
  readonly #shared: Record<Format, Promise<Content> | undefined> = { text: undefined, openmetrics: undefined };

  constructor(source: AdminSource) {
    this.#source = source;
  }

  content(format: Format): Promise<Content> {
    return (this.#shared[format] ??= this.#share(format));
  }

  async #share(format: Format): Promise<Content> {
    let busyMs = 0;
    try {
      const made = await this.#make(format);
      busyMs = made.busyMs;
      return made.content;
    } finally {
      const forget = (): void => {
        this.#shared[format] = undefined;
      };
      setTimeout(forget, busyMs * (1 / SHARE_MAX - 1)).unref();
    }
  }

  async #make(format: Format): Promise<{ readonly content: Content; readonly busyMs: number }> {
    const source = this.#source;
    const own = await processFigures();
    const slices = new Slices();
    const writer = new ContentWriter();
    const exposition = new Exposition(format, writer, slices);
    const backends = await this.#backends(slices);
    const endpoints = await this.#endpoints(slices);
    const workers = source.workers.map((status) => ({ ...status, source }));
    await exposition.write([...BACKEND_FAMILIES, ...RESILIENCE_FAMILIES], backends, backendLabels);
    await exposition.write([...ENDPOINT_FAMILIES, ...ENDPOINT_RESILIENCE_FAMILIES], endpoints, endpointLabels);
    await exposition.write(WORKER_FAMILIES, workers, ({ worker }) => label('worker', worker));
    await exposition.write(KIND_FAMILIES, source.discovery.kinds, ({ kind }) => label('kind', kind));
    const { links, calls } = source.bridge;
    await exposition.write(LINK_FAMILIES, links, ({ worker }) => label('worker', worker));
    await exposition.write(CALL_FAMILIES, callSeries(calls), callLabels);
    await exposition.write(DELIVERY_FAMILIES, deliverySeries(source.deliveries), deliveryLabels);
    await exposition.write(NODE_FAMILIES, [source], () => '');
    await exposition.write(PROCESS_FAMILIES, [own], () => '');
    exposition.end();
    slices.stop();
    return { content: writer.finish(), busyMs: slices.busyMs };
  }

  /** Read once, because each family shows a part of it. */
  async #backends(slices: Slices): Promise<readonly BackendFigures[]> {
    const source = this.#source;
    const figures: BackendFigures[] = [];
    for (const series of backendSeries(source)) {
      const { row, backend } = series;
      const load = backend && loadView(source, backend, performance.now());
      const exemplar: BackendFigures['exemplar'] = (bucket) => source.exemplar?.(row, bucket);
      figures.push({ ...series, totals: source.meters.backend(row), load, exemplar });
      if (slices.over) await slices.next();
    }
    return figures;
  }

  async #endpoints(slices: Slices): Promise<readonly EndpointFigures[]> {
    const source = this.#source;
    const figures: EndpointFigures[] = [];
    for (const series of endpointSeries(source)) {
      const { row, backend, endpoint } = series;
      const standing = backend && endpointStanding(source, backend, endpoint, performance.now());
      figures.push({ ...series, totals: source.meters.endpoint(row), standing: standing ?? GOOD_STANDING });
      if (slices.over) await slices.next();
    }
    return figures;
  }
}

function backendLabels({ namespace, name, port }: BackendSeries): string {
  return [label('namespace', namespace), label('service', name), label('port', port === 0 ? '' : port)].join();
}

function endpointLabels(series: EndpointSeries): string {
  return `${backendLabels(series)},${label('endpoint', series.endpoint)}`;
}
