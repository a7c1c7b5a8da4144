import type { HeaderEditsView } from '../../model/explanation.ts';
import { formatDuration } from '../../lib/duration.ts';
import { formatSize } from '../../lib/size.ts';
import type { Fault, HeaderEdits, Match, Redirect } from '../../model/routing.ts';

/** `path prefix /cart, method GET or HEAD, header x-user exact 7`; `everything` */
export function matchText({ path, methods, fields }: Match): string {
  const parts = [
    ...(path === undefined ? [] : [`path ${path.type} ${path.value === '' ? '/' : path.value}`]),
    ...(methods.length === 0 ? [] : [`method ${methods.join(' or ')}`]),
    ...fields.map(({ of, name, type, value }) => `${of} ${name} ${type} ${value}`),
  ];
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

/** `302 to https://shop.example:8443, path replaced by /new` */
export function redirectText({ status, scheme, host, port, path }: Redirect): string {
  const place = `${scheme === '' ? '' : `${scheme}://`}${host === '' ? 'the same host' : host}${port === 0 ? '' : `, port ${port}`}`;
  const change =
    path === undefined
      ? ''
      : `, ${path.replace === 'path' ? 'path' : 'prefix of the path'} replaced by ${path.by || '/'}`;
  return `${status} to ${place}${change}`;
}

/** `abort 503`, `delay 100ms`, `delay 100ms to 2s`, `throttle 64KiB per second` */
export function faultText(fault: Fault): string {
  if (fault.type === 'abort') return `abort ${fault.status}`;
  if (fault.type === 'throttle') return `throttle ${formatSize(fault.bytesPerS)} per second`;
  const { leastMs, mostMs } = fault;
  return `delay ${formatDuration(leastMs)}${mostMs > leastMs ? ` to ${formatDuration(mostMs)}` : ''}`;
}

export function editsView(edits: HeaderEdits | undefined): HeaderEditsView {
  const { drop = [], lines = [] } = edits ?? {};
  return { drop, lines: lines.map(([name, value]) => `${name}: ${value}`) };
}
