/** What the API itself answers with, or takes. */
export const JSON_TYPE = 'application/json';
/** Lines of JSON. */
export const NDJSON_TYPE = 'application/x-ndjson';
/** Server-sent events. */
export const EVENTS_TYPE = 'text/event-stream';
