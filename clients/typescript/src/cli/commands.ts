import { parseArgs } from "node:util";

import { connect } from "../client.js";
import { RegsvcError } from "../errors.js";
import { parseReference } from "../refs.js";
import { checkVectors } from "../vectors.js";
import { print } from "./output.js";

/** The command line was wrong: exit status 2. */
export class UsageError extends Error {}

/** The commands by name, each given its own arguments. */
export const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  async push(args) {
    const { values, positionals } = parse(args, { ...SERVER, alias: { type: "string", multiple: true } });
    const [folder, model] = exactly(2, positionals);
    const result = await connect(values.server).push(folder, model, { aliases: values.alias ?? [] });
    const { bytesSent, ...rest } = result;
    await print({ ...rest, bytes_sent: bytesSent });
  },

  async pull(args) {
    const { values, positionals } = parse(args, SERVER);
    const [reference, destination] = exactly(2, positionals);
    const client = connect(parseReference(reference).server ?? values.server);
    const { bytesReceived, seconds, ...rest } = await client.pull(reference, destination);
    await print({ ...rest, bytes_received: bytesReceived, seconds });
  },

  async logs(args) {
    const { values, positionals } = parse(args, {
      ...SERVER,
      follow: { type: "boolean", short: "f" },
      after: { type: "string" },
      step: { type: "string" },
    });
    const [build] = exactly(1, positionals);
    const options = {
      follow: values.follow ?? false,
      ...(values.after !== undefined && { after: sequenceNumber(values.after, "--after") }),
      ...(values.step !== undefined && { step: values.step }),
    };
    for await (const { bytes: _, ...line } of connect(values.server).tailLog(build, options)) await print(line);
  },

  async events(args) {
    const { values, positionals } = parse(args, {
      ...SERVER,
      after: { type: "string" },
      limit: { type: "string" },
    });
    exactly(0, positionals);
    const options = values.after === undefined ? {} : { after: sequenceNumber(values.after, "--after") };
    let left = values.limit === undefined ? undefined : sequenceNumber(values.limit, "--limit");
    if (left === 0n) return;
    for await (const event of connect(values.server).watchEvents(options)) {
      await print(event);
      if (left !== undefined && --left === 0n) return;
    }
  },

  async vectors(args) {
    const { positionals } = parse(args, {});
    const [folder] = exactly(1, positionals);
    const { checked, failures } = await checkVectors(folder);
    await print({ checked, failures });
    if (failures.length > 0) throw new RegsvcError("VECTORS_FAILED", `${failures.length} of ${checked} vectors failed`);
  },
};

const SERVER = { server: { type: "string" } } as const;

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

function parse<const T extends Options>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

type Tuple<Count extends number> = Count extends 0 ? [] : Count extends 1 ? [string] : [string, string];

function exactly<Count extends 0 | 1 | 2>(count: Count, positionals: string[]): Tuple<Count> {
  if (positionals.length !== count) {
    throw new UsageError(`expected ${count} argument${count === 1 ? "" : "s"}, got ${positionals.length}`);
  }
  return positionals as Tuple<Count>;
}

function sequenceNumber(text: string, flag: string): bigint {
  if (!/^[0-9]{1,19}$/.test(text)) throw new UsageError(`${flag} expects a number from 0`);
  return BigInt(text);
}
