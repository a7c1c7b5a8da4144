/** Statuses that have a counter of their own; any other counts for its class. */
const STATUSES = [
  101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412,
  413, 414, 415, 416, 417, 421, 422, 424, 425, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 507,
] as const;
const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** What a status counter is called, by its place. `none`: there was no reply. */
export const STATUS_LABELS: readonly string[] = [...CLASSES, ...STATUSES.map(String)];

/** The place of a status. RFC 9110 section 15: one beyond the classes is treated as a 5xx. */
export const STATUS_INDEX: Uint8Array = Uint8Array.from({ length: 1000 }, (_, status) => {
  const exact = (STATUSES as readonly number[]).indexOf(status);
  return exact < 0 ? Math.min(Math.floor(status / 100), CLASSES.length - 1) : CLASSES.length + exact;
});

/** The status that stands for a place when ranges are asked for: for a class its last one; 0 for `none`. */
export const STATUS_AT: readonly number[] = [
  ...CLASSES.map((_, index) => (index === 0 ? 0 : index * 100 + 99)),
  ...STATUSES,
];
