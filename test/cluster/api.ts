import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { API_ADDRESS } from './network.ts';

const REQUEST_MS = 10_000;

export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
}

/** The API server answered, but not with success. */
export class ApiError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

export type PatchKind = 'merge' | 'strategic-merge';

/** The API server as the owner of a token has it: its administrator, for the kubelet and for tests, or an account. */
export class Api {
  readonly #agent: Agent;
  readonly #token: string;

  /** @param certificateFile of the API server, which signed it itself. */
  constructor(certificateFile: string, token: string) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: 8, ca: readFileSync(certificateFile) });
    this.#token = token;
  }

  async get<Body>(path: string): Promise<Body> {
    return (await this.#expect('GET', path)) as Body;
  }

  async create<Body = unknown>(path: string, body: unknown): Promise<Body> {
    return (await this.#expect('POST', path, body)) as Body;
  }

  /** As it shall be, with the resourceVersion that it had. */
  async update(path: string, body: unknown): Promise<void> {
    await this.#expect('PUT', path, body);
  }

  async patch(path: string, body: unknown, kind: PatchKind): Promise<void> {
    await this.#expect('PATCH', path, body, `application/${kind}-patch+json`);
  }

  async delete(path: string, options: unknown): Promise<void> {
    await this.#expect('DELETE', path, options);
  }

  /** Any status is an answer; an error means that there was none. */
  async ask(method: string, path: string, body?: unknown, type = 'application/json'): Promise<ApiReply> {
    const text = body === undefined ? '' : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const headers = {
        'authorization': `Bearer ${this.#token}`,
        'content-type': type,
        // Of itself Node sends the body of a DELETE without a length.
        'content-length': Buffer.byteLength(text),
      };
      const signal = AbortSignal.timeout(REQUEST_MS);
      const asked = request({ host: API_ADDRESS, path, method, agent: this.#agent, headers, signal }, (reply) => {
        const chunks: Buffer[] = [];
        reply
          .on('data', (chunk: Buffer) => void chunks.push(chunk))
          .on('error', reject)
          .on('end', () => {
            const received = Buffer.concat(chunks).toString('utf8');
            resolve({ status: reply.statusCode!, body: parsed(received) });
          });
      });
      asked.on('error', reject).end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #expect(method: string, path: string, body?: unknown, type?: string): Promise<unknown> {
    const reply = await this.ask(method, path, body, type);
    if (reply.status < 300) return reply.body;
    const { message } = (reply.body ?? {}) as { readonly message?: string };
    throw new ApiError(`Expected ${method} ${path} to succeed, got ${reply.status} ${message ?? ''}`, reply.status);
  }
}

/** `/readyz` and the like answer with plain text. */
function parsed(text: string): unknown {
  return text.startsWith('{') ? JSON.parse(text) : text;
}
