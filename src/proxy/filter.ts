export { editReply, editRequest, looped, makeRequestId, requestIdRoom, sourceLines } from './filter/forward.ts';
