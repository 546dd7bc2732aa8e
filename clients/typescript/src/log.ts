import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { Connection } from "./connection.js";
import { type LogLine as WireLine, LogStream } from "./gen/regsvc/v1/build_pb.js";
import { parseBuild } from "./refs.js";
import { resumed } from "./resume.js";

/** One line of a build's log. */
export interface LogLine {
  /** 1, 2, 3 ... without gaps. */
  readonly seq: bigint;
  readonly time?: Date;
  /** Name of the step it belongs to, or empty. */
  readonly step: string;
  /** Where it comes from; `log` is the publisher itself. */
  readonly stream: "stdout" | "stderr" | "log" | "";
  /** The next line of the same stream continues this one. */
  readonly partial: boolean;
  /** The text without its newline; bytes that are not UTF-8 show as U+FFFD. */
  readonly text: string;
  /** The same as it was written. */
  readonly bytes: Uint8Array;
}

/** Which lines of a log are read, and for how long. */
export interface TailOptions {
  /** Lines after this number; 0n, the default, means from the first. */
  readonly after?: bigint;
  /** Stay until the build has ended. */
  readonly follow?: boolean;
  /** Only lines of this step. */
  readonly step?: string;
  /** Ends the iteration, also while nothing arrives; what aborted it is thrown. */
  readonly signal?: AbortSignal;
}

/** The lines of a build's log, in order, none twice and none left out, across any number of disconnects. */
export async function* tailLog(
  connection: Connection,
  build: string,
  { after = 0n, follow = false, step = "", signal }: TailOptions = {},
): AsyncGenerator<LogLine, void, undefined> {
  const name = parseBuild(build).wire;
  let position = after;
  const open = (ends: AbortSignal) =>
    connection.builds.readLog({ build: name, afterSeq: position, follow, step }, { signal: ends });
  const silence = await connection.silence();
  for await (const message of resumed(open, { patience: connection.patience(), silence, signal })) {
    for (const line of message.lines) {
      position = line.seq;
      yield fromWireLine(line);
    }
    // Lines of other steps were passed over: this moves past them too.
    if (message.seq > position) position = message.seq;
  }
}

const decoder = new TextDecoder();

const STREAM_NAMES = {
  [LogStream.UNSPECIFIED]: "",
  [LogStream.STDOUT]: "stdout",
  [LogStream.STDERR]: "stderr",
  [LogStream.LOG]: "log",
} as const;

function fromWireLine(line: WireLine): LogLine {
  return {
    seq: line.seq,
    ...(line.time && { time: timestampDate(line.time) }),
    step: line.step,
    // A stream that a newer server knows and this client does not.
    stream: STREAM_NAMES[line.stream] ?? "",
    partial: line.partial,
    text: decoder.decode(line.text),
    bytes: line.text,
  };
}
