import { Connection, type ConnectOptions } from "./connection.js";
import { type RegistryEvent, watchEvents, type WatchOptions } from "./events.js";
import { type LogLine, tailLog, type TailOptions } from "./log.js";
import { pull, type PullResult } from "./pull.js";
import { push, type PushOptions, type PushResult } from "./push.js";

const DEFAULT_TARGET = "127.0.0.1:7070";

/** A client of the server at `target` (`host:port`; else $REGSVC_ENDPOINT, else 127.0.0.1:7070). */
export function connect(target?: string, options: ConnectOptions = {}): Client {
  return new Client(new Connection(target || process.env["REGSVC_ENDPOINT"] || DEFAULT_TARGET, options));
}

/** What a program does with a registry. Every method outlasts a restart of the server and throws `RegsvcError`. */
export class Client {
  constructor(private readonly connection: Connection) {}

  /** Push the files of a folder as a new version of `[namespace/]model`. */
  push(folder: string, model: string, options?: PushOptions): Promise<PushResult> {
    return push(this.connection, folder, model, options);
  }

  /** Pull a version, `[namespace/]model[:N | @alias | @b3:HEX]`, into a folder that does not exist or is empty. */
  pull(reference: string, destination: string): Promise<PullResult> {
    return pull(this.connection, reference, destination);
  }

  /** The lines of the log of `[namespace/]model/builds/N`. */
  tailLog(build: string, options?: TailOptions): AsyncGenerator<LogLine, void, undefined> {
    return tailLog(this.connection, build, options);
  }

  /** The changes in the registry, without end. */
  watchEvents(options?: WatchOptions): AsyncGenerator<RegistryEvent, void, undefined> {
    return watchEvents(this.connection, options);
  }

  /** Close the connection. */
  close(): void {
    this.connection.close();
  }
}
