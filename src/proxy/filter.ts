export {
  bringsRequestId,
  editHints,
  editReply,
  editRequest,
  hintOf,
  looped,
  makeRequestId,
  requestIdRoom,
  sourceLines,
} from './filter/forward.ts';
export { beginTrace } from './filter/trace.ts';
export { describeHeaders, describeRequest } from './filter/describe.ts';
export { CORS_REPLACED, corsLines, isPreflight, preflightFields } from './filter/cors.ts';
export { faultsOfClient, rollFaults } from './filter/faults.ts';
export { editPath } from './filter/path-edit.ts';
export { addRateLimit, type Asking, RateLimits } from './filter/rate-limit.ts';
export { redirectLocation } from './filter/redirect.ts';
export { readToken, tokenLine } from './filter/session.ts';
