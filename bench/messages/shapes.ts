/** Bytes of every message. */
export const BODY = 'x'.repeat(128);
/** Calls under way at a time, each on a connection of its own where there are connections. */
export const CONCURRENCY = 64;
export const SUBSCRIBERS = 500;

/** Where messages go. The streams STORED, PUSHED and PUSHED-BARE bind the last three. */
export const SUBJECTS = {
  plain: 'bench.plain',
  echo: 'bench.echo',
  live: 'bench.live',
  stored: 'bench.stored',
  pushed: 'bench.pushed',
  pushedBare: 'bench.pushed-bare',
} as const;

export const SHAPE_NAMES = ['none', 'server', 'stream', 'request', 'ndjson', 'push', 'sse', 'sse-single'] as const;
export type ShapeName = (typeof SHAPE_NAMES)[number];

/** Of these kinds the load comes from outside; of the others a client has its own. */
export type OutsideShape = 'push' | 'sse' | 'sse-single';
export type OwnShape = Exclude<ShapeName, OutsideShape>;

/** One kind of work, which the bridge and the bare client both do. */
export interface Shape {
  readonly says: string;
  /** Of the bare client. */
  readonly bare: string;
  /** Per second of processor time; undefined: none is set. */
  readonly goal: number | undefined;
}

export const SHAPES: Readonly<Record<ShapeName, Shape>> = {
  'none': {
    says: `POST /v1/publish, ack=none, ${CONCURRENCY} connections`,
    bare: 'publish, flush after each 1,000',
    goal: undefined,
  },
  'server': {
    says: `POST /v1/publish, ack=server, ${CONCURRENCY} connections`,
    bare: `publish and flush, ${CONCURRENCY} at a time`,
    goal: 15_000,
  },
  'stream': {
    says: `POST /v1/publish, ack=stream, ${CONCURRENCY} connections`,
    bare: `publish to JetStream, ${CONCURRENCY} at a time`,
    goal: 10_000,
  },
  'request': {
    says: `POST /v1/request, ${CONCURRENCY} connections`,
    bare: `request, ${CONCURRENCY} at a time`,
    goal: 12_000,
  },
  'ndjson': {
    says: 'POST /v1/publish of ndjson, ack=server, one connection',
    bare: 'parse the same lines, publish, flush after each 1,000',
    goal: 150_000,
  },
  'push': {
    says: `deliveries of a stream to an endpoint, ${CONCURRENCY} at a time`,
    bare: `consume, POST with node:http, acknowledge, ${CONCURRENCY} at a time`,
    goal: 10_000,
  },
  'sse': {
    says: `GET /v1/subscribe, ${SUBSCRIBERS} subscribers, 50 events at once`,
    bare: 'subscribe, write to replies of node:http',
    goal: 300_000,
  },
  'sse-single': {
    says: `GET /v1/subscribe, ${SUBSCRIBERS} subscribers, one event at a time`,
    bare: 'the same',
    goal: undefined,
  },
};

/** Lines of a bulk, 100 of them. */
export const LINES = `${JSON.stringify({ subject: SUBJECTS.plain, data: BODY })}\n`.repeat(100);
