import { laneName } from './corpus.ts';
import { Mesh, type ServiceSpec } from './mesh.ts';
import { Recorder, type Respond } from './recorder.ts';

/** One Service of its own with one upstream of its own: what arrives there came from the test that holds the lane. */
export interface Lane {
  /** `l07.test`, as long as `svc.test`. */
  readonly authority: string;
  readonly recorder: Recorder;
}

/** What makes a lane: its Service has its name and is in namespace `test`. */
export interface LaneManifests {
  readonly services: readonly ServiceSpec[];
  readonly objects: readonly object[];
}

export interface LanesOptions {
  readonly respond?: Respond;
  readonly flags?: readonly string[];
  readonly laneOf?: (name: string, address: string) => LaneManifests;
}

function plainLane(name: string, address: string): LaneManifests {
  return { services: [{ name, endpoints: [address] }], objects: [] };
}

/** Many lanes through one mesh, so that tests run at the same time without hearing each other. */
export class Lanes {
  readonly mesh: Mesh;
  readonly all: readonly Lane[];
  readonly #free: Lane[];
  readonly #waiting: ((lane: Lane) => void)[] = [];

  private constructor(mesh: Mesh, all: readonly Lane[]) {
    this.mesh = mesh;
    this.all = all;
    this.#free = [...all];
  }

  static async start(count: number, { respond, flags = [], laneOf = plainLane }: LanesOptions = {}): Promise<Lanes> {
    const recorders = await Promise.all(Array.from({ length: count }, () => Recorder.start(respond)));
    const all = recorders.map((recorder, index) => ({ authority: `${laneName(index)}.test`, recorder }));
    const manifests = all.map(({ recorder }, index) => laneOf(laneName(index), recorder.address));
    const services = manifests.flatMap((lane) => lane.services);
    const objects = manifests.flatMap((lane) => lane.objects);
    try {
      return new Lanes(await Mesh.start({ services, objects, flags }), all);
    } catch (error) {
      await stopRecorders(all);
      throw error;
    }
  }

  /** Runs `work` on a lane that nobody else uses meanwhile. */
  async use<T>(work: (lane: Lane, mesh: Mesh) => Promise<T>): Promise<T> {
    const lane = this.#free.pop() ?? (await new Promise<Lane>((resolve) => void this.#waiting.push(resolve)));
    try {
      return await work(lane, this.mesh);
    } finally {
      lane.recorder.forget();
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(lane);
      else next(lane);
    }
  }

  async stop(): Promise<void> {
    try {
      await this.mesh.stop();
    } finally {
      await stopRecorders(this.all);
    }
  }
}

async function stopRecorders(lanes: readonly Lane[]): Promise<void> {
  await Promise.all(lanes.map(({ recorder }) => recorder.stop()));
}
