import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { contents, goModules, type Provided, provide } from './provide.ts';

const SOURCES = path.join(import.meta.dirname, 'crds');
const GATEWAY_KINDS = ['httproutes', 'grpcroutes', 'referencegrants'];

/** What belongs together: the module that has it, and where. */
const BUNDLES = {
  'gateway-api-standard': gatewayApi('standard'),
  'gateway-api-experimental': gatewayApi('experimental'),
  /** Of apiextensions.k8s.io/v1beta1, as SMI left them. */
  'smi': { module: 'github.com/servicemeshinterface/smi-sdk-go', files: ['crds/split.yaml', 'crds/specs.yaml'] },
} as const;

export type CrdBundle = keyof typeof BUNDLES;

/** CustomResourceDefinitions of the kinds that routes are written in, as their makers publish them: in Go modules. */
export function provideCrds(): Promise<Provided> {
  return provide({
    name: 'crds',
    key: `${contents(SOURCES)}\n${JSON.stringify(BUNDLES)}`,
    make: async (folder) => {
      const modules = await goModules(SOURCES);
      for (const [bundle, { module, files }] of Object.entries(BUNDLES)) {
        const into = path.join(folder, bundle);
        mkdirSync(into);
        for (const file of files) {
          copyFileSync(path.join(modules[module]!, ...file.split('/')), path.join(into, path.posix.basename(file)));
        }
      }
    },
  });
}

/** @param folder of `provideCrds`. */
export function crdFiles(folder: string, bundle: CrdBundle): readonly string[] {
  const of = path.join(folder, bundle);
  return readdirSync(of).map((file) => path.join(of, file));
}

function gatewayApi(channel: string): { readonly module: string; readonly files: readonly string[] } {
  const files = GATEWAY_KINDS.map((kind) => `config/crd/${channel}/gateway.networking.k8s.io_${kind}.yaml`);
  return { module: 'sigs.k8s.io/gateway-api', files };
}
