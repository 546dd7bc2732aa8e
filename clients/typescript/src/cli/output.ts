import { once } from "node:events";

/** Print one JSON document on a line of its own, and wait while whoever reads it is slower. */
export async function print(document: unknown): Promise<void> {
  if (!process.stdout.write(`${JSON.stringify(document, jsonValue)}\n`)) await once(process.stdout, "drain");
}

/** uint64 as a JSON number while every reader gets the same one from it, and as a string beyond. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
}
