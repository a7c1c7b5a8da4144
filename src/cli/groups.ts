/** Headings of `heddle --help`. */
export const RUN_GROUP = 'Run:';
export const SEE_GROUP = 'See a running node:';
export const MESSAGES_GROUP = 'Messages:';
export const CHECK_GROUP = 'Check and steer:';
