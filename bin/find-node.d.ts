/** Flags that Heddle's Node is started with. */
export const NODE_FLAGS: readonly string[];
