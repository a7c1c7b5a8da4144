/** How a copy of a Service behaves. */
export type Manner =
  | 'well'
  /** Takes its time with some requests. */
  | 'slow'
  /** Closes some connections without an answer, as a process does that is being restarted. */
  | 'cutting'
  /** Takes messages, and tells what it got. */
  | 'telling';

/** One process of a Service as it would run on a cluster; here it is a server on loopback. */
export interface Copy {
  readonly service: string;
  readonly version: string;
  /** As the manifests in deploy/examples/shop call it. There it is only a name: the demo takes a free port. */
  readonly address: string;
  readonly manner: Manner;
  /** What the table says of it. */
  readonly label: string;
}

export const COPIES: readonly Copy[] = [
  { service: 'orders', version: 'v1', address: '127.0.0.1:9001', manner: 'well', label: 'orders v1' },
  { service: 'orders', version: 'v2', address: '127.0.0.1:9002', manner: 'well', label: 'orders v2' },
  { service: 'users', version: 'v1', address: '127.0.0.1:9011', manner: 'well', label: 'users (well)' },
  { service: 'users', version: 'v1', address: '127.0.0.1:9012', manner: 'slow', label: 'users (slow)' },
  { service: 'users', version: 'v1', address: '127.0.0.1:9013', manner: 'cutting', label: 'users (cuts)' },
  { service: 'stock', version: 'v1', address: '127.0.0.1:9021', manner: 'well', label: 'stock' },
  { service: 'mail', version: 'v1', address: '127.0.0.1:9031', manner: 'telling', label: 'mail' },
];

/** Services that the demo's own traffic goes to. */
export const ASKED: readonly string[] = ['orders', 'users'];
