import { constants, fstatSync, openSync } from 'node:fs';
import net from 'node:net';

/**
 * A descriptor of the same file whose writes say EAGAIN where they would wait; the same number when there is none to be had.
 * Needed because neither a thread nor the process can end while one of its threads waits in a write.
 */
export function openUnblocking(fd: number): number {
  const kind = fstatSync(fd);
  // A write to a disk never says EAGAIN; and opened anew it had a position of its own.
  if (kind.isFile()) return fd;
  return openAnew(fd) ?? unblockShared(fd);
}

/**
 * Pipes and terminals: O_NONBLOCK belongs to what was opened, and who else holds that (the shell and its other programs) does
 * not expect EAGAIN. So we open it a second time. Linux only; and it needs the permission, or a pipe that has a reader.
 */
function openAnew(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
}

/** Sockets cannot be opened anew. libuv sets the flag when it takes a descriptor, and Node resets 0, 1 and 2 at its end. */
function unblockShared(fd: number): number {
  try {
    // Never written to: the descriptor stays ours, and this only its holder.
    new net.Socket({ fd, readable: false, writable: true }).unref();
  } catch {
    // Neither pipe nor stream socket: then a write may wait, and with it the thread.
  }
  return fd;
}
