import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onPath, versionOf } from './machine.ts';
import type { Command } from './stage.ts';

/** Found with a version, or absent for a reason. */
export type Found = { readonly version: string } | { readonly absent: string };

/** What makes a program tell its version. */
const VERSION_ARGS = { nginx: ['-v'], haproxy: ['-v'], envoy: ['--version'], traefik: ['version'] } as const;

/** A program on the PATH, with the version that it tells. */
export function findProgram(name: keyof typeof VERSION_ARGS): Found {
  const program = onPath(name);
  if (program === undefined) return { absent: `no ${name} on the PATH` };
  return { version: versionOf(program, VERSION_ARGS[name]) };
}

/** nginx in the foreground, with one worker and no access log. @param http what else stands in the block of that name. */
export function nginxCommand(folder: string, http: string): Command {
  const file = join(folder, 'nginx.conf');
  // It wants to write to these folders; its built-in ones often need root.
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 16384; }
http {
  access_log off;
${temporary.map((kind) => `  ${kind}_temp_path ${folder}/${kind};`).join('\n')}
${http}
}
`,
  );
  return { program: 'nginx', args: ['-c', file, '-e', 'stderr'] };
}

/**
 * Envoy with one worker, no access log and one cluster, `web`.
 * @param wishes what its route and its cluster say beside where they lead.
 */
export function envoyCommand(
  {
    folder,
    port,
    upstreams,
  }: { readonly folder: string; readonly port: number; readonly upstreams: readonly number[] },
  wishes: { readonly route?: object; readonly cluster?: object } = {},
): Command {
  const file = join(folder, 'envoy.json');
  const types = 'type.googleapis.com/envoy.extensions.filters';
  const route = { cluster: 'web', ...wishes.route };
  const manager = {
    '@type': `${types}.network.http_connection_manager.v3.HttpConnectionManager`,
    'stat_prefix': 'entry',
    'route_config': { virtual_hosts: [{ name: 'web', domains: ['*'], routes: [{ match: { prefix: '/' }, route }] }] },
    'http_filters': [
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${types}.http.router.v3.Router` } },
    ],
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const endpoints = upstreams.map((upstream) => ({ endpoint: { address: socket(upstream) } }));
  const cluster = {
    name: 'web',
    type: 'STATIC',
    load_assignment: { cluster_name: 'web', endpoints: [{ lb_endpoints: endpoints }] },
    ...wishes.cluster,
  };
  const listener = { name: 'entry', address: socket(port), filter_chains: [{ filters }] };
  const configuration = { static_resources: { listeners: [listener], clusters: [cluster] } };
  writeFileSync(file, JSON.stringify(configuration, undefined, 1));
  return {
    program: 'envoy',
    args: ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
  };
}

/** An address of Envoy. */
function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
