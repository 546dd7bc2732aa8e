import { Code, ConnectError } from "@connectrpc/connect";

import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const ERROR_DOMAIN = "regsvc.dev";

/** What went wrong, by the same reasons as the server's whether it was found here or there. */
export class RegsvcError extends Error {
  override readonly name = "RegsvcError";

  /**
   * @param reason UPPER_SNAKE, for programs: `NOT_FOUND`, `DIGEST_MISMATCH`, `UNAVAILABLE`
   * @param message one line for people: what and which
   * @param metadata the values that the message mentions
   * @param transient whether the same call may succeed later with nothing changed
   */
  constructor(
    readonly reason: string,
    message: string,
    readonly metadata: Readonly<Record<string, string>> = {},
    readonly transient = false,
  ) {
    super(message);
  }
}

/** The error that a failed call stands for: by the server's `ErrorInfo`, else by its gRPC code. */
export function fromWire(error: unknown): RegsvcError {
  if (error instanceof RegsvcError) return error;
  const failure = ConnectError.from(error);
  const info = failure.findDetails(ErrorInfoSchema).find((detail) => detail.domain === ERROR_DOMAIN);
  if (info !== undefined) {
    return new RegsvcError(info.reason, failure.rawMessage, info.metadata, failure.code === Code.Unavailable);
  }
  if (LOST_CONNECTION.has(failure.code)) {
    return new RegsvcError("UNAVAILABLE", `the server cannot be reached: ${failure.rawMessage}`, {}, true);
  }
  return new RegsvcError(upperSnake(Code[failure.code]), failure.rawMessage);
}

// regsvc names a reason in each of its errors. One of these codes without a reason was made up on the way:
// connect-node says ABORTED for a reset connection, and INTERNAL or CANCELED for a stream that was cut off.
const LOST_CONNECTION = new Set([Code.Unavailable, Code.Aborted, Code.Internal, Code.Canceled]);

function upperSnake(camel: string): string {
  return camel.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
