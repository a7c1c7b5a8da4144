export { type BucketKey } from './shared/bucket-key.ts';
export { Buckets, BUCKET_BYTES, type BucketVerdict, newVerdict } from './shared/buckets.ts';
export { Budget } from './shared/budget.ts';
export { allocateShared, BACKEND, backendRow, EJECTED_BY, ENDPOINT, endpointRow, type Row } from './shared/memory.ts';
export { Outage } from './shared/outage.ts';
export { Places } from './shared/places.ts';
export { type EndpointState, SharedReader } from './shared/reader.ts';
