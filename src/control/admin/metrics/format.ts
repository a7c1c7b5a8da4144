import type { Slices } from '../../../lib/slices.ts';
import type { ContentWriter } from '../content.ts';
import type { Exemplar } from '../../../telemetry.ts';

/** Prometheus text format 0.0.4, OpenMetrics 1.0. */
export type Format = 'text' | 'openmetrics';

export const MEDIA_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** One metric, for things of one kind. */
export interface Family<T> {
  /** Without `_total`, which counters get. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** The name ends with it. */
  readonly unit?: 'seconds' | 'bytes';
  readonly help: string;
  /** Undefined: this one has no series. */
  readonly of: (item: T) => number | readonly Sample[] | Histogram | undefined;
}

export interface Sample {
  /** What it has beside the labels of its item. */
  readonly labels: string;
  readonly value: number;
}

export interface Histogram {
  /** In seconds; there is one count more. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly exemplar: (bucket: number) => Exemplar | undefined;
}

/** `name="value"`, with what would end the value escaped. */
export function label(name: string, value: string | number): string {
  const text = String(value);
  return `${name}="${/[\\\n"]/.test(text) ? escaped(text) : text}"`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

/**
 * The format that an Accept header prefers. OpenMetrics only for those who name it, in the version that is written here (or in
 * none); everybody else, browsers included, gets text.
 */
export function formatFor(accept: string | undefined): Format {
  let best = 0;
  let text = 0;
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const parameter = (name: string): string | undefined =>
      parameters.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
    const weight = Number(parameter('q') ?? 1);
    const version = parameter('version')?.replaceAll('"', '');
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0'))
      best = Math.max(best, weight);
    if (type === 'text/plain') text = Math.max(text, weight);
  }
  return best > 0 && best >= text ? 'openmetrics' : 'text';
}

/** Writes families one after the other, in slices of time. */
export class Exposition {
  readonly #format: Format;
  readonly #writer: ContentWriter;
  readonly #slices: Slices;

  constructor(format: Format, writer: ContentWriter, slices: Slices) {
    this.#format = format;
    this.#writer = writer;
    this.#slices = slices;
  }

  /** @param labelsOf what all series of an item have: `name="value"`, with commas between. */
  async write<T>(families: readonly Family<T>[], items: readonly T[], labelsOf: (item: T) => string): Promise<void> {
    const labels: string[] = [];
    for (const item of items) {
      labels.push(labelsOf(item));
      if (this.#slices.over) await this.#slices.next();
    }
    for (const family of families) {
      this.#head(family);
      for (const [index, item] of items.entries()) {
        this.#samples(family, labels[index]!, family.of(item));
        if (this.#slices.over) await this.#slices.next();
      }
    }
  }

  end(): void {
    if (this.#format === 'openmetrics') this.#writer.add('# EOF\n');
  }

  #head<T>({ name, type, unit, help }: Family<T>): void {
    const open = this.#format === 'openmetrics';
    // The text format has no families: there a counter's name is that of its samples.
    const title = type === 'counter' && !open ? `${name}_total` : name;
    this.#writer.add(`# HELP ${title} ${help}\n# TYPE ${title} ${type}\n`);
    if (open && unit !== undefined) this.#writer.add(`# UNIT ${title} ${unit}\n`);
  }

  #samples<T>({ name, type }: Family<T>, labels: string, value: ReturnType<Family<T>['of']>): void {
    const sampleName = type === 'counter' ? `${name}_total` : name;
    if (value === undefined) return;
    if (typeof value === 'number') this.#line(sampleName, labels, value);
    else if ('bounds' in value) this.#histogram(name, labels, value);
    else for (const sample of value) this.#line(sampleName, joined(labels, sample.labels), sample.value);
  }

  #histogram(name: string, labels: string, histogram: Histogram): void {
    let count = 0;
    for (const [bucket, own] of histogram.counts.entries()) {
      count += own;
      const bound = histogram.bounds[bucket] ?? Infinity;
      const exemplar = this.#format === 'openmetrics' && own > 0 ? histogram.exemplar(bucket) : undefined;
      this.#line(`${name}_bucket`, joined(labels, `le="${shownNumber(bound)}"`), count, exemplar);
    }
    this.#line(`${name}_sum`, labels, histogram.sum);
    this.#line(`${name}_count`, labels, count);
  }

  #line(name: string, labels: string, value: number, exemplar?: Exemplar): void {
    const series = labels === '' ? name : `${name}{${labels}}`;
    const tail = exemplar === undefined ? '' : exemplarText(exemplar);
    this.#writer.add(`${series} ${shownNumber(value)}${tail}\n`);
  }
}

function exemplarText({ traceId, valueMs, timeMs }: Exemplar): string {
  return ` # {${label('trace_id', traceId)}} ${shownNumber(valueMs / 1000)} ${shownNumber(timeMs / 1000)}`;
}

function joined(labels: string, more: string): string {
  return labels === '' ? more : `${labels},${more}`;
}

function shownNumber(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}
