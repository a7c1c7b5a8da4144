export { Attempts, type AttemptsContext, type AttemptsOwner } from './attempt/attempts.ts';
export { ONE_ATTEMPT, repeats } from './attempt/retries.ts';
