import type { AdminSource } from './admin/source.ts';

export type { AdminSource, Check } from './admin/source.ts';

export interface AdminOptions {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** `admin`: everything, for those who reach this address. `probe`: liveness, readiness and metrics, for everybody. */
  readonly kind: 'admin' | 'probe';
  readonly source: AdminSource;
  /** Notices a port that is taken by another node of the mesh; else the two share it, so that one can take over. */
  readonly exclusive?: boolean;
  /** Is told of an error that nobody expected; its request was answered with 500. */
  readonly onDefect?: (error: unknown) => void;
}

export interface AdminServer {
  readonly port: number;
  /** Cuts what is still open. */
  close(): Promise<void>;
}

/** Opens the admin port or the probe port. Rejects when the port cannot be had. */
export async function openAdmin({
  exclusive = false,
  onDefect = () => {},
  ...options
}: AdminOptions): Promise<AdminServer> {
  // fastify and node:http are 24 MB and 100 ms: nobody has them who does not open a port.
  const { startServer } = await import('./admin/server.ts');
  return await startServer({ ...options, exclusive, onDefect });
}
