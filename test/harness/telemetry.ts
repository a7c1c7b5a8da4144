import http from 'node:http';
import type { Format } from '../../src/control/admin/metrics.ts';
import type { TapRecord } from '../../src/model/admin.ts';
import { parseExposition, type Sample } from '../control/admin/exposition.ts';
import { eventually } from './client.ts';
import { type LogLine, Mesh, type MeshOptions } from './mesh.ts';

/** Flushing takes a heartbeat of the worker; the machine may be busy. */
const LINE_WAIT_MS = 5000;

/** A mesh for one test: it ends with the test, cleanly where the test went well. */
export async function withMesh(options: MeshOptions, work: (mesh: Mesh) => Promise<void>): Promise<void> {
  const mesh = await Mesh.start(options);
  try {
    await work(mesh);
  } catch (error) {
    if (mesh.alive) mesh.signal('SIGKILL');
    await mesh.stop().catch(() => {});
    throw error;
  }
  if (mesh.alive) await mesh.stop();
}

export function accessLines(mesh: Mesh): readonly LogLine[] {
  return mesh.log.filter(({ log }) => log === 'access');
}

/** Waits for the line of the access log that has these values. */
export async function accessLine(mesh: Mesh, values: LogLine): Promise<LogLine> {
  const matches = (line: LogLine): boolean => Object.entries(values).every(([name, value]) => line[name] === value);
  const find = (): LogLine | undefined => accessLines(mesh).find(matches);
  await eventually(() => find() !== undefined, { what: `a line with ${JSON.stringify(values)}`, waitMs: LINE_WAIT_MS });
  return find()!;
}

/** Where the admin side listens: the mesh was started with `--admin-listen=127.0.0.1:0`. */
export function adminOrigin(mesh: Mesh): string {
  const line = mesh.log.find(({ msg, listener }) => msg === 'Listening' && listener === 'admin');
  if (line === undefined) throw new Error('Expected the mesh to have an admin side, got none');
  return `http://127.0.0.1:${Number(line['port'])}`;
}

/** Asks the admin side for JSON. */
export async function ask<T>(mesh: Mesh, path: string, method: 'GET' | 'POST' = 'GET'): Promise<T> {
  const reply = await fetch(`${adminOrigin(mesh)}${path}`, { method });
  if (reply.status !== 200) throw new Error(`Expected 200 for ${path}, got ${reply.status} ${await reply.text()}`);
  return (await reply.json()) as T;
}

/** Somebody who watches the exchanges of a mesh (`GET /tap`). */
export class Watcher {
  readonly #request: http.ClientRequest;
  readonly #response: http.IncomingMessage;
  readonly records: TapRecord[] = [];
  /** Of events `dropped`. */
  dropped = 0;
  #partial = '';

  private constructor(request: http.ClientRequest, response: http.IncomingMessage) {
    this.#request = request;
    this.#response = response;
    response.on('error', () => {});
  }

  /** @param reads false: takes nothing until `read` is called. */
  static async start(mesh: Mesh, filter = '', { reads = true } = {}): Promise<Watcher> {
    // An agent of its own, because pooled connections would be kept after the end.
    const request = http.get(`${adminOrigin(mesh)}/tap?${filter}`, { agent: false });
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
    });
    const watcher = new Watcher(request, response);
    if (response.statusCode !== 200) {
      watcher.stop();
      throw new Error(`Expected 200 for a tap, got ${response.statusCode}`);
    }
    if (reads) watcher.read();
    return watcher;
  }

  read(): void {
    this.#response.setEncoding('utf8').on('data', (text: string) => {
      this.#take(text);
    });
  }

  /** Waits until it has seen an exchange with this path. */
  async seen(path: string): Promise<TapRecord> {
    const find = (): TapRecord | undefined => this.records.find((record) => record.path === path);
    await eventually(() => find() !== undefined, { what: `the tap to show ${path}`, waitMs: LINE_WAIT_MS });
    return find()!;
  }

  stop(): void {
    this.#request.destroy();
  }

  #take(text: string): void {
    const events = (this.#partial + text).split('\n\n');
    this.#partial = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      if (event.startsWith('event: dropped')) this.dropped += (JSON.parse(data) as { count: number }).count;
      else this.records.push(JSON.parse(data) as TapRecord);
    }
  }
}

/** All samples of `/metrics`, which is checked strictly. */
export async function exposition(mesh: Mesh, format: Format = 'text'): Promise<readonly Sample[]> {
  const accept = format === 'openmetrics' ? 'application/openmetrics-text; version=1.0.0' : 'text/plain';
  const reply = await fetch(`${adminOrigin(mesh)}/metrics`, { headers: { accept } });
  return [...parseExposition(await reply.text(), format).values()].flatMap(({ samples }) => samples);
}
