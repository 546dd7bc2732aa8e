import { RegsvcError } from "./errors.js";

/**
 * A uint64 of the wire as the number that Node's file operations count in.
 * Throws OUT_OF_RANGE past 2^53 - 1, where a number would silently be another one.
 */
export function byteCount(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new RegsvcError("OUT_OF_RANGE", `${value} bytes are more than this client can count`);
  }
  return Number(value);
}
