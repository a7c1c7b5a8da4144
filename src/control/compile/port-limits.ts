import { ROUTING_LIMITS } from '../../model/routing.ts';

/** So many ports of a Service may have the most that one may have; of more ports each has a share of that. */
const FULL_PORTS = 2;

/** What the rules of one port may have, of one source and for the clients of one namespace. */
export interface PortLimits {
  readonly entries: number;
  /** Of all regular expressions: the sum of their widths. */
  readonly regexWidth: number;
}

/** @param ports how many the Service has in the mesh: a rule that names none stands on all of them, and is paid for on each. */
export function portLimits(ports: number): PortLimits {
  const share = Math.min(1, FULL_PORTS / ports);
  return {
    entries: Math.floor(ROUTING_LIMITS.entries * share),
    regexWidth: Math.floor(ROUTING_LIMITS.regexWidth * share),
  };
}
