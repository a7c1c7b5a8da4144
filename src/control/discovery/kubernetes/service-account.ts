import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Access, AccessError, type Credentials } from './access.ts';

/** Where Kubernetes mounts the credentials of a pod. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Kubelet replaces a projected token well before it ends; client-go looks as often. */
const REREAD_MS = 60_000;

/** The address of the API server, whose variables are set in every pod, whatever `enableServiceLinks` says. Throws an AccessError. */
export function serverOfPod(): URL {
  const host = process.env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (host !== '' && URL.canParse(url)) return new URL(url);
  const expected = 'the address of the API server, as every pod has it (outside of a pod, give a kubeconfig)';
  throw new AccessError('KUBERNETES_SERVICE_HOST', { field: '', expected, got: host === '' ? 'nothing' : url });
}

/** The service account of the pod that we run in: a token that changes, and the authority that the server has its certificate from. */
export class ServiceAccount implements Access {
  readonly server: URL;
  readonly #directory: string;
  #credentials: Credentials | undefined = undefined;
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(server: URL, directory: string) {
    this.server = server;
    this.#directory = directory;
  }

  async credentials(): Promise<Credentials> {
    if (this.#credentials !== undefined && performance.now() - this.#readMs < REREAD_MS) return this.#credentials;
    try {
      const [token, ca] = await Promise.all([this.#read('token'), this.#read('ca.crt')]);
      this.#credentials = { tls: { ca }, headers: { authorization: `Bearer ${token.trim()}` } };
    } catch (error) {
      // What was read last is good for some time yet.
      if (this.#credentials === undefined) throw error;
    }
    this.#readMs = performance.now();
    return this.#credentials;
  }

  refused(credentials: Credentials): void {
    if (this.#credentials === credentials) this.#credentials = undefined;
  }

  close(): void {
    // Small files are read, and nothing else.
  }

  async #read(name: string): Promise<string> {
    const file = join(this.#directory, name);
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      const { code = 'an error' } = error as NodeJS.ErrnoException;
      throw new AccessError(file, { field: '', expected: 'a file of the service account', got: code });
    }
  }
}
