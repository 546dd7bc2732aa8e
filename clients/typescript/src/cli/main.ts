#!/usr/bin/env node
import { RegsvcError } from "../errors.js";
import { COMMANDS, UsageError } from "./commands.js";

const USAGE = `usage: regsvc-node COMMAND [--server HOST:PORT]

  push DIR [NS/]MODEL [--alias A]                  make a version of the files of a folder
  pull REF DEST                                    bring the files of a version
  logs BUILD [-f] [--after SEQ] [--step NAME]      print a build's log; -f: until the build has ended
  events [--after SEQ] [--limit N]                 print what changes; --after 0: from the first change
  vectors DIR                                      check this client against protos/vectors

The server is --server, else $REGSVC_ENDPOINT, else 127.0.0.1:7070. Output is JSON: one document, or one a line.
`;

async function main([name, ...args]: string[]): Promise<number> {
  if (name === "--help" || name === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  try {
    const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw new UsageError(name === undefined ? "no command" : `unknown command '${name}'`);
    await command(args);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`regsvc-node: ${error.message}\n\n${USAGE}`);
      return 2;
    }
    process.stderr.write(`regsvc-node: ${describe(error)}\n`);
    return 1;
  }
}

/** One line: the reason, and what and which. */
function describe(error: unknown): string {
  if (error instanceof RegsvcError) return `${error.reason}: ${error.message.replaceAll("\n", " ")}`;
  // Node's own: a file that cannot be read, a full disk.
  if (error instanceof Error && "code" in error) return `${String(error.code)}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// Whoever read our output has seen enough: `regsvc-node events | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await main(process.argv.slice(2));
