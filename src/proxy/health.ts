export { Breaker } from './health/breaker.ts';
export { Health } from './health/endpoints-health.ts';
export { Keeper, type KeptBackend } from './health/keeper.ts';
