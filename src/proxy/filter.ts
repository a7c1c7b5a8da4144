export {
  bringsRequestId,
  editReply,
  editRequest,
  looped,
  makeRequestId,
  requestIdRoom,
  sourceLines,
} from './filter/forward.ts';
