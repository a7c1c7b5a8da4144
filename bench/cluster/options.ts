import { parseArgs } from 'node:util';

export const HELP = `Measures a node that follows a large cluster: a real API server, in namespaces of its own.

  npm run bench:cluster -- [--services N] [--endpoints N] [--changes N] [--requests N] [--seconds S] [--idle-seconds S] [--json FILE]

  --services N        enabled Services, each with one EndpointSlice (1000)
  --endpoints N       of all of them together (10000)
  --changes N         changes of EndpointSlices per second (100)
  --requests N        requests per second beside (500)
  --seconds S         of changes that are measured, after 20 s that are not (60)
  --idle-seconds S    without changes and requests (30)

How to read the figures: bench/README.md
`;

export interface Options {
  readonly services: number;
  readonly endpoints: number;
  readonly changes: number;
  readonly requests: number;
  readonly seconds: number;
  readonly idleSeconds: number;
  readonly json: string | undefined;
}

/** Undefined: help is asked for. Throws for what is no whole number above 0. */
export function readOptions(): Options | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      'services': text,
      'endpoints': text,
      'changes': text,
      'requests': text,
      'seconds': text,
      'idle-seconds': text,
      'json': text,
      'help': { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  const number = (name: keyof typeof values, usual: number): number => {
    const given = Number(values[name] ?? usual);
    if (Number.isInteger(given) && given > 0) return given;
    throw new Error(`--${name}: Expected a whole number above 0, got ${String(values[name])}`);
  };
  return {
    services: number('services', 1000),
    endpoints: number('endpoints', 10_000),
    changes: number('changes', 100),
    requests: number('requests', 500),
    seconds: number('seconds', 60),
    idleSeconds: number('idle-seconds', 30),
    json: values.json,
  };
}
