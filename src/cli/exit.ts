/** The node could not be started, for example because its port is taken. */
export const EXIT_FAILED = 1;
/** What was asked for was looked at, and is wrong or not there. */
export const EXIT_WRONG = 1;
/** A command line that cannot be obeyed. */
export const EXIT_USAGE = 2;
/** What was asked about could not be read or does not answer. */
export const EXIT_UNREAD = 3;
/** Standard output does not take what there is to say. */
export const EXIT_UNWRITTEN = 4;
/** A message was sent, and nobody knows whether it arrived. */
export const EXIT_UNKNOWN = 5;

/** Ends a command: the message for standard error (it may have several lines), and the exit code. */
export class CommandEnd extends Error {
  override readonly name: string = 'CommandEnd';
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
