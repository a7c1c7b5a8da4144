export { Breaker } from './health/breaker.ts';
export { Health } from './health/endpoints-health.ts';
export { Keeper, type KeptBackend, type KeptPlan } from './health/keeper.ts';
