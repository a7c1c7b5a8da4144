import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Api } from './api.ts';
import { API_ADDRESS } from './network.ts';
import { until } from './wait.ts';

/** Environment variable with the program of test/servers/control-plane. */
export const BINARY_VARIABLE = 'HEDDLE_BOX_CONTROL_PLANE';

const START_MS = 90_000;
const ETCD = 'http://127.0.0.1:2379';
/** What the scenarios need, and nothing that would only make the start longer. */
const CONTROLLERS = [
  'daemonset-controller',
  'deployment-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'namespace-controller',
  'node-lifecycle-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'statefulset-controller',
  'taint-eviction-controller',
  'ttl-after-finished-controller',
];

/** etcd, API server, controller manager and scheduler, as processes of the box. */
export class ControlPlane {
  readonly binary: string;
  readonly kubeconfig: string;
  readonly #folder: string;
  readonly #token = randomBytes(16).toString('hex');
  readonly #children = new Map<string, ChildProcess>();
  #api: Api | undefined;

  private constructor(binary: string, folder: string) {
    this.binary = binary;
    this.#folder = folder;
    this.kubeconfig = path.join(folder, 'kubeconfig');
  }

  /**
   * @param folder for state, keys and logs.
   * @param parts `api`: without controllers and scheduler, where nobody has to act upon what is stored.
   */
  static async start(folder: string, parts: 'all' | 'api' = 'all'): Promise<ControlPlane> {
    const binary = process.env[BINARY_VARIABLE];
    if (!binary) throw new Error('Expected to be run by npm run cluster, got no control plane');
    mkdirSync(folder, { recursive: true });
    const plane = new ControlPlane(binary, folder);
    plane.#writeCredentials();
    plane.#spawn('etcd', [path.join(folder, 'etcd'), ETCD, 'http://127.0.0.1:2380']);
    plane.#spawnApiServer();
    await plane.#ready();
    if (parts === 'all') plane.#spawnControllers();
    return plane;
  }

  get api(): Api {
    if (this.#api === undefined) this.#api = new Api(this.#certificate, this.#token);
    return this.#api;
  }

  /** The API server as the owner of a token has it; the caller closes it. */
  apiAs(token: string): Api {
    return new Api(this.#certificate, token);
  }

  /** Kills it: connections break, and new ones are refused. */
  async stopApiServer(): Promise<void> {
    await this.#kill('api-server');
  }

  /** Resolves when it is ready. */
  async startApiServer(): Promise<void> {
    this.#spawnApiServer();
    await this.#ready();
  }

  /** The API server hangs: connections stay open and are silent, until `resumeApiServer`. */
  pauseApiServer(): void {
    this.#children.get('api-server')?.kill('SIGSTOP');
  }

  resumeApiServer(): void {
    this.#children.get('api-server')?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.#api?.close();
    await Promise.all([...this.#children.keys()].map((name) => this.#kill(name)));
  }

  get #certificate(): string {
    return path.join(this.#folder, 'apiserver.crt');
  }

  get #serviceAccountKey(): string {
    return path.join(this.#folder, 'service-account.key');
  }

  #writeCredentials(): void {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(this.#serviceAccountKey, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
    writeFileSync(path.join(this.#folder, 'tokens.csv'), `${this.#token},admin,admin,"system:masters"\n`, {
      mode: 0o600,
    });
    const kubeconfig = {
      'apiVersion': 'v1',
      'kind': 'Config',
      'current-context': 'box',
      'clusters': [
        { name: 'box', cluster: { 'server': `https://${API_ADDRESS}`, 'certificate-authority': this.#certificate } },
      ],
      'contexts': [{ name: 'box', context: { cluster: 'box', user: 'admin' } }],
      'users': [{ name: 'admin', user: { token: this.#token } }],
    };
    writeFileSync(this.kubeconfig, JSON.stringify(kubeconfig), { mode: 0o600 });
  }

  #spawnApiServer(): void {
    this.#spawn('api-server', [
      `--bind-address=${API_ADDRESS}`,
      `--advertise-address=${API_ADDRESS}`,
      '--secure-port=443',
      // It makes a certificate of its own there.
      `--cert-dir=${this.#folder}`,
      `--etcd-servers=${ETCD}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${this.#serviceAccountKey}`,
      `--service-account-signing-key-file=${this.#serviceAccountKey}`,
      `--token-auth-file=${path.join(this.#folder, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      // 10.96.0.1 is on this machine: nothing has to find it by endpoints.
      '--endpoint-reconciler-type=none',
      // Pods of a lost node are given up after so long.
      '--default-not-ready-toleration-seconds=5',
      '--default-unreachable-toleration-seconds=5',
    ]);
  }

  #spawnControllers(): void {
    this.#spawn('controller-manager', [
      ...this.#clientFlags(10_257),
      `--service-account-private-key-file=${this.#serviceAccountKey}`,
      `--root-ca-file=${this.#certificate}`,
      `--controllers=${CONTROLLERS.join(',')}`,
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
      // A node that is silent for so long is lost; heartbeats come each second.
      '--node-monitor-period=1s',
      '--node-monitor-grace-period=8s',
    ]);
    this.#spawn('scheduler', [...this.#clientFlags(10_259), '--kube-api-qps=500', '--kube-api-burst=1000']);
  }

  async #ready(): Promise<void> {
    const isReady = async (): Promise<boolean> =>
      existsSync(this.#certificate) && (await this.api.ask('GET', '/readyz')).status === 200;
    await until('a ready API server', isReady, { waitMs: START_MS });
  }

  #clientFlags(port: number): readonly string[] {
    return [
      `--kubeconfig=${this.kubeconfig}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${path.join(this.#folder, `certificates-${port}`)}`,
      '--leader-elect=false',
    ];
  }

  #spawn(name: string, args: readonly string[]): void {
    const log = openSync(path.join(this.#folder, `${name}.log`), 'a');
    this.#children.set(name, spawn(this.binary, [name, ...args], { stdio: ['ignore', log, log] }));
    closeSync(log);
  }

  async #kill(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined) return;
    this.#children.delete(name);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}
