/** A strict reader of what Prometheus reads: it accepts what the two specifications allow, and of that only what is written here. */
import type { Format } from '../../../src/control/admin/metrics.ts';

export interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string;
  readonly samples: Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Text behind `# `. */
  readonly exemplar: string | undefined;
}

const META = /^# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*?)\})? (\S+)(?: # (\{[^{}]*\} \S+ \S+))?$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,(?!$)|$)/;
const NUMBER = /^(?:[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|Inf)|NaN)$/;
const EXEMPLAR = /^\{trace_id="[0-9a-f]{32}"\} (\S+) [0-9]+(?:\.[0-9]+)?$/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ['_total'],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
};

/** Throws at the first line that is not allowed. */
export function parseExposition(text: string, format: Format): ReadonlyMap<string, Metric> {
  const open = format === 'openmetrics';
  if (!text.endsWith(open ? '\n# EOF\n' : '\n')) throw new Error(`Expected the right end, got ${text.slice(-40)}`);
  const metrics = new Map<string, Metric>();
  let current: Metric | undefined;
  const seen = new Set<string>();
  for (const line of text
    .slice(0, open ? -'# EOF\n'.length : undefined)
    .split('\n')
    .slice(0, -1)) {
    const meta = META.exec(line);
    if (meta !== null) {
      const [, kind, name = '', value = ''] = meta;
      if (kind === 'HELP') {
        if (metrics.has(name)) throw new Error(`Expected one block for each metric, got another ${name}`);
        current = { name, type: '', help: value, unit: '', samples: [] };
      } else if (current?.name !== name) throw new Error(`Expected HELP first, got ${line}`);
      else current = { ...current, [kind === 'TYPE' ? 'type' : 'unit']: value };
      if (!open && kind === 'UNIT') throw new Error(`Expected no UNIT in the text format, got ${line}`);
      metrics.set(name, current);
      continue;
    }
    if (current === undefined) throw new Error(`Expected a metric, got ${line}`);
    const sample = parseSample(line);
    const base = open || current.type !== 'counter' ? current.name : current.name.replace(/_total$/, '');
    if (SUFFIXES[current.type]?.some((suffix) => sample.name === base + suffix) !== true)
      throw new Error(`Expected a sample of the ${current.type} ${current.name}, got ${line}`);
    if (sample.exemplar !== undefined && !(open && sample.name.endsWith('_bucket')))
      throw new Error(`Expected no exemplar here, got ${line}`);
    const series = line.slice(0, line.lastIndexOf('}') + 1) || sample.name;
    const identity = sample.exemplar === undefined ? series : `${sample.name}${JSON.stringify(sample.labels)}`;
    if (seen.has(identity)) throw new Error(`Expected each series once, got ${line}`);
    seen.add(identity);
    current.samples.push(sample);
  }
  for (const metric of metrics.values()) checkMetric(metric, open);
  return metrics;
}

function parseSample(line: string): Sample {
  const [, name = '', list = '', value = '', exemplar] = SAMPLE.exec(line) ?? [];
  if (name === '' || !NUMBER.test(value)) throw new Error(`Expected a sample, got ${line}`);
  const labels: Record<string, string> = {};
  for (let rest = list; rest !== '';) {
    const match = LABEL.exec(rest);
    if (match === null) throw new Error(`Expected a label, got ${rest} in ${line}`);
    if (Object.hasOwn(labels, match[1]!)) throw new Error(`Expected each label once, got ${line}`);
    labels[match[1]!] = match[2]!.replace(/\\(.)/g, (_, escape: string) => (escape === 'n' ? '\n' : escape));
    rest = rest.slice(match[0].length);
  }
  if (exemplar !== undefined) {
    const bound = EXEMPLAR.exec(exemplar)?.[1];
    if (bound === undefined || Number(bound) > Number(labels['le']?.replace('+Inf', 'Infinity')))
      throw new Error(`Expected an exemplar of this bucket, got ${line}`);
  }
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')), exemplar };
}

function checkMetric({ name, type, help, unit, samples }: Metric, open: boolean): void {
  if (!(type in SUFFIXES)) throw new Error(`Expected a type, got ${type} for ${name}`);
  if (help === '' || /[\\\n"]/.test(help)) throw new Error(`Expected plain help for ${name}, got ${help}`);
  if (unit !== '' && !name.endsWith(`_${unit}`)) throw new Error(`Expected ${name} to end with ${unit}`);
  if (open && type === 'counter' && name.endsWith('_total')) throw new Error(`Expected no _total in ${name}`);
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0))) throw new Error(`Expected ${name} >= 0`);
  if (type === 'histogram') checkHistogram(name, samples);
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const series = Map.groupBy(samples, ({ labels }) => JSON.stringify({ ...labels, le: '' }));
  for (const own of series.values()) {
    const buckets = own.filter(({ labels }) => 'le' in labels);
    const bounds = buckets.map(({ labels }) => Number(labels['le']!.replace('+Inf', 'Infinity')));
    const counts = buckets.map(({ value }) => value);
    const ascending = (list: readonly number[]): boolean => list.every((one, at) => at === 0 || one >= list[at - 1]!);
    const count = own.find((sample) => sample.name === `${name}_count`)?.value;
    if (bounds.at(-1) !== Infinity || !ascending(bounds) || !ascending(counts) || counts.at(-1) !== count)
      throw new Error(`Expected cumulative buckets up to +Inf for ${name}, got ${JSON.stringify(own)}`);
  }
}

/** Value of the one series of this name that has these labels among its own. */
export function valueOf(metrics: ReadonlyMap<string, Metric>, name: string, labels: Sample['labels'] = {}): number {
  const all = [...metrics.values()].flatMap(({ samples }) => samples);
  const found = all.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length !== 1) throw new Error(`Expected one ${name} ${JSON.stringify(labels)}, got ${found.length}`);
  return found[0]!.value;
}
