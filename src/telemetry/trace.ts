export { TRACEPARENT_LENGTH, TraceContext } from './trace/context.ts';
export { type AttemptRecord, encodeSpans, type SpanRecord, spanCount } from './trace/spans.ts';
