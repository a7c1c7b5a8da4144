import type { BackendId } from '../../model/snapshot.ts';

/** What a reference to a backend leads to; else why to none, in the words of Gateway API, and for a person. */
export type Ref =
  | { readonly backend: BackendId }
  | {
      readonly reason: 'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedProtocol';
      /** `Service shop/orders-v2 has no port 81; its ports are 80 (http)` */
      readonly text: string;
    };

/**
 * Finds the backends that rules name. A Service that is named has a backend for that port, enabled or not, and becomes addressable
 * by nothing of it (routing-and-policy.md, section 9).
 */
export interface Refs {
  service(namespace: string, name: string, port: number): Ref;
  /**
   * A subject of the broker, as the annotation `backend` would name it for a Service of this namespace, without `nats:`.
   * @param namespace of whoever names it: policies say who may.
   */
  subject(namespace: string, subject: string): Ref;
}

/** One question to `Refs`, with its answer: what was compiled with it holds as long as the answer is the same. */
export interface Asked {
  readonly kind: 'Service' | 'Subject';
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly answer: Ref;
}
