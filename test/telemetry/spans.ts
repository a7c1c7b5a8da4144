import { TraceContext } from '../../src/telemetry/trace.ts';
import type { MessageRecord } from '../../src/telemetry.ts';
import type { AttemptRecord, SpanRecord } from '../../src/telemetry/trace.ts';

/** A record of an exchange; what a test does not name has the ordinary value: GET /orders/7 that went well. */
export function spanRecord({
  method = 'GET',
  target = '/orders/7?token=secret',
  authority = 'orders.shop:8080',
  traceparent = undefined as string | undefined,
  attempts = [attempt()],
  ...rest
}: {
  method?: string;
  target?: string | Buffer;
  authority?: string;
  traceparent?: string | undefined;
  attempts?: readonly AttemptRecord[];
} & Partial<SpanRecord> = {}): SpanRecord {
  const context = new TraceContext();
  const value = Buffer.from(traceparent ?? '');
  if (!context.parse(value, 0, value.length)) context.begin(1);
  const path = typeof target === 'string' ? Buffer.from(target, 'latin1') : target;
  const pathStart = method.length + 1;
  const authorityStart = pathStart + path.length + 17;
  return {
    context,
    startMs: 1000,
    endMs: 1025.5,
    head: Buffer.concat([
      Buffer.from(`${method} `, 'latin1'),
      path,
      Buffer.from(` HTTP/1.1\r\nhost: ${authority}\r\n\r\n`, 'latin1'),
    ]),
    methodStart: 0,
    methodEnd: method.length,
    pathStart,
    pathEnd: pathStart + path.length,
    authorityStart,
    authorityEnd: authorityStart + authority.length,
    minor: 1,
    clientAddress: '10.1.2.3',
    backend: { namespace: 'shop', name: 'orders', port: 8080 },
    rule: '',
    status: 200,
    failure: undefined,
    requestBytes: 0,
    replyBytes: 512,
    message: undefined,
    attempts,
    attemptCount: attempts.length,
    ...rest,
  };
}

export function attempt(rest: Partial<AttemptRecord> = {}): AttemptRecord {
  return { startMs: 1001, endMs: 1020, address: '10.9.8.7', port: 9001, status: 200, failure: undefined, ...rest };
}

/** A publish that went well, except where said otherwise. */
export function message(rest: Partial<MessageRecord> = {}): MessageRecord {
  return {
    operation: 'send',
    destination: 'orders.*',
    stream: 'ORDERS',
    sequence: 17,
    messages: 1,
    result: 'ok',
    consumer: '',
    attempt: 0,
    producer: '',
    ...rest,
  };
}
