import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { heddle, type Peer, type Setup } from '../load/peers.ts';
import { envoyCommand, findProgram, nginxCommand } from '../load/programs.ts';
import type { Command } from '../load/stage.ts';

/** What all are given, each in its own words. Milliseconds. */
const CONNECT_MS = 1000;
const TRY_MS = 1000;
const REQUEST_MS = 3000;

/** The proxies of the comparison, each with what its users customarily set for resilience. */
export const CONTENDERS: readonly Peer[] = [
  {
    name: 'nginx',
    find: () => findProgram('nginx'),
    prepare: prepareNginx,
    says: 'proxy_next_upstream error timeout http_503, 2 tries, max_fails=3 fail_timeout=5s',
  },
  {
    name: 'haproxy',
    find: () => findProgram('haproxy'),
    prepare: prepareHaproxy,
    says: 'option redispatch, 1 retry on all retryable errors and 503, check inter 1s fall 3, observe layer7',
  },
  {
    name: 'envoy',
    find: () => findProgram('envoy'),
    prepare: prepareEnvoy,
    says: '1 retry on 5xx and connect failure at another host, outlier detection: 5 in a row, 1s base, 50 %',
  },
  heddle('heddle-default', 'as it comes, but for the time of a request', {
    annotations: { 'heddle.dev/timeout-request': `${REQUEST_MS}ms` },
  }),
  heddle('heddle', 'outlier: on, 1 retry on 503 and a try that takes too long', {
    annotations: {
      'heddle.dev/outlier': 'on',
      'heddle.dev/retry-on': 'connect-failure, reset, timeout-try, 503',
      'heddle.dev/timeout-connect': `${CONNECT_MS}ms`,
      'heddle.dev/timeout-try': `${TRY_MS}ms`,
      'heddle.dev/timeout-request': `${REQUEST_MS}ms`,
    },
  }),
];

function prepareNginx({ folder, port, upstreams }: Setup): Command {
  return nginxCommand(
    folder,
    `  upstream web {
${upstreams.map((upstream) => `    server 127.0.0.1:${upstream} max_fails=3 fail_timeout=5s;`).join('\n')}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout ${CONNECT_MS}ms;
      proxy_read_timeout ${TRY_MS}ms;
      proxy_next_upstream error timeout http_503;
      proxy_next_upstream_tries 2;
      proxy_next_upstream_timeout ${REQUEST_MS}ms;
    }
  }`,
  );
}

function prepareHaproxy({ folder, port, upstreams }: Setup): Command {
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
  nbthread 1
defaults
  mode http
  timeout connect ${CONNECT_MS}ms
  timeout client 30s
  timeout server ${TRY_MS}ms
  timeout queue ${REQUEST_MS}ms
  retries 1
  option redispatch 1
  retry-on all-retryable-errors 503
  http-reuse safe
frontend entry
  bind 127.0.0.1:${port} backlog 4096
  default_backend web
backend web
  balance roundrobin
  option httpchk GET /
  default-server check inter 1s fall 3 rise 2 observe layer7 error-limit 5 on-error mark-down
${upstreams.map((upstream, index) => `  server web${index} 127.0.0.1:${upstream}`).join('\n')}
`,
  );
  return { program: 'haproxy', args: ['-db', '-f', join(folder, 'haproxy.cfg')] };
}

function prepareEnvoy(setup: Setup): Command {
  const predicates = 'type.googleapis.com/envoy.extensions.retry.host';
  const route = {
    timeout: seconds(REQUEST_MS),
    retry_policy: {
      retry_on: '5xx,reset,connect-failure,refused-stream',
      num_retries: 1,
      per_try_timeout: seconds(TRY_MS),
      retry_host_predicate: [
        {
          name: 'envoy.retry_host_predicates.previous_hosts',
          typed_config: { '@type': `${predicates}.previous_hosts.v3.PreviousHostsPredicate` },
        },
      ],
      host_selection_retry_max_attempts: 3,
    },
  };
  const cluster = {
    connect_timeout: seconds(CONNECT_MS),
    outlier_detection: {
      consecutive_5xx: 5,
      interval: '1s',
      base_ejection_time: '1s',
      max_ejection_time: '20s',
      max_ejection_percent: 50,
    },
  };
  return envoyCommand(setup, { route, cluster });
}

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
