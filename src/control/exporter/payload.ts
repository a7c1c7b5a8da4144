import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** Below this gzip gains less than it costs. */
const GZIP_BYTES_MIN = 1024;
const SUFFIX = Buffer.from(']}]}]}');
const COMMA = Buffer.from(',');

export interface Payload {
  readonly body: Buffer;
  readonly encoding: 'gzip' | undefined;
}

/** What stands before the spans in each request (OTLP, ExportTraceServiceRequest): who we are. */
export function envelope(resource: Readonly<Record<string, string>>): Buffer {
  const attributes = Object.entries(resource).map(([key, value]) => ({ key, value: { stringValue: value } }));
  const scope = { name: 'heddle', version: resource['service.version'] ?? '' };
  return Buffer.from(
    `{"resourceSpans":[{"resource":${JSON.stringify({ attributes })},"scopeSpans":[{"scope":${JSON.stringify(scope)},"spans":[`,
  );
}

/** One request of many batches of spans. */
export async function pack(prefix: Buffer, batches: readonly Uint8Array[]): Promise<Payload> {
  const pieces: Uint8Array[] = [prefix];
  for (const [index, batch] of batches.entries()) {
    if (index > 0) pieces.push(COMMA);
    pieces.push(batch);
  }
  const body = Buffer.concat([...pieces, SUFFIX]);
  if (body.length <= GZIP_BYTES_MIN) return { body, encoding: undefined };
  const { gzip, constants } = await import('node:zlib');
  return { body: await promisify(gzip)(body, { level: constants.Z_BEST_SPEED }), encoding: 'gzip' };
}

/** The span of `heddle check`. */
export function testSpan(traceId: string): Uint8Array {
  const nowMs = Date.now();
  const span = {
    traceId,
    spanId: randomBytes(8).toString('hex'),
    name: 'heddle check',
    kind: 1,
    startTimeUnixNano: `${nowMs}000000`,
    endTimeUnixNano: `${nowMs + 1}000000`,
    attributes: [{ key: 'heddle.check', value: { boolValue: true } }],
  };
  return Buffer.from(JSON.stringify(span));
}
