import { type Port, PortError } from "../port.ts";

/** Reads at most; a writer that is faster than we are must not keep us from stopping. */
const MOST_READS = 65536;

/**
 * Reads what is there now from a descriptor that does not block, and that nothing polls any more.
 *
 * @param isPassing errors after which to go on.
 */
export function drain(
  port: Port,
  fd: number,
  into: Uint8Array,
  onBytes: (bytes: Uint8Array) => void,
  isPassing: (error: PortError) => boolean = () => false,
): void {
  for (let i = 0; i < MOST_READS; i++) {
    try {
      const got = port.read(fd, into);
      if (got === 0) return;
      onBytes(into.subarray(0, got));
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      // EAGAIN is the end; of other errors there is nobody left to tell.
      if (!isPassing(error)) return;
    }
  }
}
