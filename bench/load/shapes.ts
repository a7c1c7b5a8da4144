/** What the upstreams answer under a path. */
export interface Content {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly says: string;
}

/** One kind of load: a content over so many connections, kept alive or one per request. */
export interface Shape {
  /** As on the command line: `1k@64`. */
  readonly name: string;
  readonly content: Content;
  readonly connections: number;
  readonly keepAlive: boolean;
  readonly says: string;
}

/** By the first part of a shape's name. */
export const CONTENTS = {
  '128b': { path: '/128b', method: 'GET', requestBytes: 0, replyBytes: 128, says: 'GET, 128 B reply' },
  '1k': { path: '/1k', method: 'GET', requestBytes: 0, replyBytes: 1024, says: 'GET, 1 KiB reply' },
  '64k': { path: '/64k', method: 'GET', requestBytes: 0, replyBytes: 65_536, says: 'GET, 64 KiB reply' },
  'post4k': {
    path: '/post4k',
    method: 'POST',
    requestBytes: 4096,
    replyBytes: 128,
    says: 'POST, 4 KiB body, 128 B reply',
  },
} as const satisfies Record<string, Content>;

/** Connection per request comes last, because it leaves garbage behind in memory that the others would be blamed for. */
export const DEFAULT_SHAPES = '1k@1,1k@16,1k@64,1k@256,128b@64,64k@64,post4k@64,close@64';

/** Reads `1k@64,close@64`. `close` is the 128 B reply with a new connection for each request. */
export function parseShapes(list: string): Shape[] {
  return list.split(',').map(parseShape);
}

function parseShape(name: string): Shape {
  const [, kind = '', count = ''] = /^([a-z0-9]+)@([1-9]\d*)$/.exec(name) ?? [];
  const keepAlive = kind !== 'close';
  const content: Content | undefined = keepAlive ? (CONTENTS as Record<string, Content>)[kind] : CONTENTS['128b'];
  if (content === undefined) {
    const kinds = [...Object.keys(CONTENTS), 'close'].join(', ');
    throw new Error(`Shape must be KIND@CONNECTIONS with KIND one of ${kinds}, got ${JSON.stringify(name)}`);
  }
  const connections = Number(count);
  const says = `${content.says}, ${connections} connection${connections === 1 ? '' : 's'}, ${keepAlive ? 'kept alive' : 'a new one for each request'}`;
  return { name, content, connections, keepAlive, says };
}

/** The bytes of a reply: letters only, so that they can stand in a configuration file. */
export function replyBody(content: Content): string {
  return 'the quick brown fox jumps over a lazy dog, '
    .repeat(Math.ceil(content.replyBytes / 43))
    .slice(0, content.replyBytes);
}
