import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './machine.ts';
import { fetchChecked, fetchOnce, untilReady } from './fetch.ts';
import { nginxCommand } from './programs.ts';
import { CONTENTS, type Content, replyBody } from './shapes.ts';
import type { Stage } from './stage.ts';

/** What an upstream has seen since it started. */
export interface UpstreamCounts {
  readonly connections: number;
  readonly requests: number;
}

const STATUS_PATH = '/upstream-status';

/** Starts two upstreams on free ports and waits until they answer. They run where this process runs: on the load core. */
export async function startUpstreams(stage: Stage): Promise<number[]> {
  const ports = [await freePort(), await freePort()];
  for (const port of ports) {
    const name = `upstream-${port}`;
    const folder = stage.folder(name);
    for (const content of Object.values(CONTENTS)) writeFileSync(join(folder, content.path), replyBody(content));
    const running = stage.start(name, nginxCommand(folder, configuration(folder, port)), undefined);
    await untilReady(name, running, () => fetchChecked(port, CONTENTS['128b']));
  }
  return ports;
}

/** Sum over the upstreams; asking counts as one connection and one request at each. */
export async function upstreamCounts(ports: readonly number[]): Promise<UpstreamCounts> {
  const pages = await Promise.all(ports.map((port) => fetchOnce({ port, path: STATUS_PATH })));
  const rows = pages.map((page) => /^\s*(\d+) \d+ (\d+)\s*$/m.exec(page.body) ?? []);
  const sum = (column: number): number => rows.reduce((total, row) => total + Number(row[column] ?? 0), 0);
  return { connections: sum(1), requests: sum(2) };
}

// A reply leaves in one write, head and body together, as from an application server: no sendfile, one output buffer.
function configuration(folder: string, port: number): string {
  return `  default_type text/plain;
  etag off;
  sendfile off;
  output_buffers 1 128k;
  open_file_cache max=100;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${folder};
${Object.values(CONTENTS).map(location).join('\n')}
    location = ${STATUS_PATH} { stub_status; }
  }`;
}

// nginx limits a word of its configuration to 4 KiB: longer replies come from a file, kept open.
function location(content: Content): string {
  const checks = content.requestBytes === 0 ? '' : `if ($content_length != ${content.requestBytes}) { return 400; } `;
  const answer = content.replyBytes < 4000 ? `return 200 "${replyBody(content)}";` : '';
  return `    location = ${content.path} { ${checks}${answer} }`;
}
