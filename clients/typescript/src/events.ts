import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { Connection } from "./connection.js";
import { resumed } from "./resume.js";

/** One change in the registry. */
export interface RegistryEvent {
  /** Ascending; numbers may be left out. */
  readonly seq: bigint;
  readonly time?: Date;
  /** `version.created`, `alias.set`, `build.ended` ...; skip those you do not know. */
  readonly kind: string;
  /** Wire name of what it happened to. */
  readonly resource: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Which events are watched, and for how long. */
export interface WatchOptions {
  /** Events after this number; 0n means from the first. Not given: only events from now on. */
  readonly after?: bigint;
  /** Ends the iteration, also while nothing happens; what aborted it is thrown. */
  readonly signal?: AbortSignal;
}

/** The changes in the registry as they happen, none twice and none left out, across any number of disconnects. */
export async function* watchEvents(
  connection: Connection,
  { after, signal }: WatchOptions = {},
): AsyncGenerator<RegistryEvent, void, undefined> {
  let position = after;
  const open = (ends: AbortSignal) =>
    connection.events.watchEvents(position === undefined ? {} : { afterSeq: position }, { signal: ends });
  const options = { patience: connection.patience(), silence: await connection.silence(), signal };
  for await (const message of resumed(open, options)) {
    for (const event of message.events) {
      position = event.seq;
      yield {
        seq: event.seq,
        ...(event.time && { time: timestampDate(event.time) }),
        kind: event.kind,
        resource: event.resource,
        attributes: event.attributes,
      };
    }
    // Also on a quiet stream: "from now on" must stay the moment when the watch began.
    if (position === undefined || message.seq > position) position = message.seq;
  }
}
