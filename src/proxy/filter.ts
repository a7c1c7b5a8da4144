export {
  bringsRequestId,
  editReply,
  editRequest,
  looped,
  makeRequestId,
  requestIdRoom,
  sourceLines,
} from './filter/forward.ts';
export { beginTrace } from './filter/trace.ts';
export { describeHeaders, describeRequest } from './filter/describe.ts';
