/**
 * Nanoseconds per call, over a while.
 * @param step gets the number of its call. @param calls between two looks at the clock
 */
export function sample(step: (call: number) => void, sampleMs: number, calls = 1000): number {
  const beganMs = performance.now();
  let made = 0;
  let passedMs = 0;
  while (passedMs < sampleMs) {
    for (let call = 0; call < calls; call++) step(made + call);
    made += calls;
    passedMs = performance.now() - beganMs;
  }
  return (passedMs * 1e6) / made;
}
